"""Learning-rate multipliers: which part of the network a parameter belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from stitchable.errors import StitchError, nearest
from stitchable.network import StitchedNetwork


def part_names(network: StitchedNetwork) -> dict[nn.Parameter, str]:
    """Dotted name of the part that every parameter belongs to.

    ``small.stem``, ``small.blocks.3`` and ``small.head`` for an anchor called ``small``, the first of them
    for a parameter that several parts read, ``small`` for one that none reads; ``layers.<id>`` for a
    stitching layer; ``behind.<joint>`` for what a joint has of its own.
    """
    names: dict[nn.Parameter, str] = {}
    for anchor in network.anchors.values():
        blocks = {f"blocks.{number}": block for number, block in enumerate(anchor.split.blocks)}
        parts = {"stem": anchor.split.stem, **blocks, "head": anchor.split.head}
        for name, parameter in anchor.model.named_parameters(remove_duplicate=False):
            for part, held in parts.items():
                if held.reads(name):
                    names.setdefault(parameter, f"{anchor.name}.{part}")
        for parameter in anchor.model.parameters():
            names.setdefault(parameter, anchor.name)
    for layer, module in network.layers.items():
        names |= dict.fromkeys(module.parameters(), f"layers.{layer}")
    for joint, own in network.behind.items():
        names |= dict.fromkeys(own.parameters(), f"behind.{joint}")
    return names


def learning_rate_factors(
    network: StitchedNetwork, multipliers: Mapping[str, float]
) -> dict[nn.Parameter, float]:
    """What each parameter's learning rate is multiplied by.

    Args:
        network: Whose parameters.
        multipliers: From the name of a part, or of what holds it, to a factor: ``small`` for a whole anchor,
            ``small.blocks``, ``layers``. The longest name counts. ``anchors.`` may stand before an anchor.

    Raises:
        StitchError: A name is of no part; the nearest are named.
    """
    parts = part_names(network)
    known = {name: None for part in parts.values() for name in _prefixes(part)}
    factors: dict[str, float] = {}
    for given, factor in multipliers.items():
        name = given.removeprefix("anchors.")
        if name not in known:
            raise StitchError(f"train.lr_multipliers names no part {given!r}. {nearest(name, known)}")
        factors[name] = factor
    found = {}
    for parameter, part in parts.items():
        named = [name for name in _prefixes(part) if name in factors]
        found[parameter] = factors[named[-1]] if named else 1.0
    return found


def _prefixes(part: str) -> list[str]:
    """A part's name and those of all that hold it, the shortest first."""
    words = part.split(".")
    return [".".join(words[: number + 1]) for number in range(len(words))]
