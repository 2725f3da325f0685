"""Which modules of a model are its blocks, by how it is built; the tracer leaves them whole."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Units:
    """Modules that are called whole.

    Attributes:
        whole: Dotted names of everything that is not looked into.
        composite: Those of them that may be blocks: a residual block, a transformer block. Empty for a
            plain chain of layers such as a VGG.
    """

    whole: frozenset[str]
    composite: frozenset[str]


def find_units(model: nn.Module) -> Units:
    """Look into the model, its containers of blocks and whatever holds these, and no further.

    A block is a child of a container, or of the model itself, with at least two weights. Containers are
    torch's, and modules all of whose children are blocks of one class. A container is looked into if it is
    the model's own, or if at least half of its children are such blocks: in a residual block's container of
    layers they are not.
    """
    whole: list[str] = []
    composite: list[str] = []

    def gather(parent: nn.Module, prefix: str, *, top: bool) -> None:
        for name, child in parent.named_children():
            if _holds_blocks(child) or (top and _is_container(child)):
                gather(child, f"{prefix}{name}.", top=False)
                continue
            whole.append(prefix + name)
            if (top or _is_container(parent)) and is_composite(child):
                composite.append(prefix + name)

    gather(model, "", top=True)
    return Units(frozenset(whole), frozenset(composite))


def weights(module: nn.Module) -> int:
    """Number of a module's weights: norms, biases and gains are vectors of some shape and do not count."""
    return sum(parameter.numel() > max(parameter.shape, default=1) for parameter in module.parameters())


def is_composite(module: nn.Module) -> bool:
    """Whether a module has two weights or more."""
    return weights(module) > 1


def _is_container(module: nn.Module) -> bool:
    if isinstance(module, _CONTAINERS):
        return True
    children = list(module.children())
    if len({type(child) for child in children}) != 1 or isinstance(children[0], _CONTAINERS):
        return False
    return all(is_composite(child) for child in children)


def _holds_blocks(module: nn.Module) -> bool:
    return any(_is_container(part) and _is_mostly_blocks(part) for part in module.modules())


def _is_mostly_blocks(container: nn.Module) -> bool:
    found = [is_composite(child) for child in container.children()]
    return 0 < len(found) <= 2 * sum(found)
