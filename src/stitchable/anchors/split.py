"""Where a model is cut: the description that an architecture family gives of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from stitchable.errors import StitchError

Run = Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True)
class Part:
    """A stem, a block or a head of a model.

    Attributes:
        run: Called with the model and the feature; returns the next feature (the logits, for a head).
            It reads nothing of the model but what ``uses`` names.
        uses: Dotted names of the submodules, parameters and buffers it reads.
    """

    run: Run
    uses: tuple[str, ...]

    def reads(self, name: str) -> bool:
        """Whether a parameter or buffer of this dotted name is among what the part reads."""
        return any(name == used or name.startswith(used + ".") for used in self.uses)


def submodule(name: str) -> Part:
    """The part that calls one submodule.

    Args:
        name: Dotted name, such as ``"layer1.0"``.
    """
    get, path = attrgetter(name), name.split(".")

    def run(model: nn.Module, x: Tensor) -> Tensor:
        part: Any = model
        try:
            # A module's attributes are looked up in Python; the dictionaries behind them are faster.
            for child in path:
                part = part._modules[child]
        except (AttributeError, KeyError):
            part = get(model)
        out: Tensor = part(x)
        return out

    return Part(run, (name,))


def submodules(*names: str) -> Part:
    """The part that calls some submodules one after another, such as a down-sampling and a block.

    Args:
        *names: Dotted names, in order of the calls.
    """
    if len(names) == 1:
        return submodule(names[0])
    parts = [submodule(name) for name in names]

    def run(model: nn.Module, x: Tensor) -> Tensor:
        for part in parts:
            x = part.run(model, x)
        return x

    return Part(run, names)


def stage_blocks(
    model: nn.Module, names: Sequence[str], *, opening: Sequence[str] = (), blocks: str = ""
) -> tuple[tuple[Part, ...], tuple[int, ...]]:
    """Blocks that are the children of a model's stages.

    Args:
        model: The model.
        names: Dotted names of the stages, in order.
        opening: Children of a stage that run before its blocks, such as ``"downsample"``; they belong to its
            first block. Where a stage has none, or an `torch.nn.Identity`, nothing is run.
        blocks: Child of a stage whose children its blocks are; the stage itself where left out.

    Returns:
        One part per block, and the stage of each.

    Raises:
        StitchError: A stage has no blocks.
    """
    parts: list[Part] = []
    stages: list[int] = []
    for stage, name in enumerate(names):
        module = model.get_submodule(name)
        before = [f"{name}.{child}" for child in opening if _runs(getattr(module, child, None))]
        holder = f"{name}.{blocks}" if blocks else name
        children = [
            child for child, _ in model.get_submodule(holder).named_children() if child not in opening
        ]
        if not children:
            raise StitchError(f"Stage {name} of {type(model).__name__} has no blocks; give every stage one.")
        first, *others = children
        parts.append(submodules(*before, f"{holder}.{first}"))
        parts += [submodule(f"{holder}.{child}") for child in others]
        stages += [stage] * len(children)
    return tuple(parts), tuple(stages)


def _runs(module: object) -> bool:
    return module is not None and not isinstance(module, nn.Identity)


@dataclass(frozen=True)
class Split:
    """A model as ``stem → blocks → head``.

    Attributes:
        stem: From the image batch to the first block's input.
        blocks: Every block, in order; a block that starts a stage holds the stage's down-sampling.
        head: Everything after the last block: norm, pooling, classifier.
        stages: Stage of every block, non-decreasing from 0; plain ViTs have one stage.
        prefix_tokens: For token features, how many class, distillation and register tokens lead.
        grid: For token features, rows and columns of the patches; a square where left out. For maps it is
            read off.
        channels_last: Whether the channels of maps are their last axis, as in Swin.
        by: Who says so, for people to read.
    """

    stem: Part
    blocks: tuple[Part, ...]
    head: Part
    stages: tuple[int, ...]
    prefix_tokens: int = 0
    grid: tuple[int, int] | None = None
    channels_last: bool = False
    by: str = "own description"
