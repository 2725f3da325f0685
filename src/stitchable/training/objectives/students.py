"""Running the stitches of a step: logits, and a late feature where it is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.paths import run_tree
from stitchable.space.steps import Step
from stitchable.space.tree import PathTree
from stitchable.stitch import Stitch


@dataclass(frozen=True)
class Output:
    """What one stitch gave.

    Attributes:
        logits: ``(batch, classes)``.
        feature: At ``cut`` of the end anchor, shaped as its spec says; ``None`` where none was wanted.
        cut: Of the end anchor.
    """

    logits: Tensor
    feature: Tensor | None = None
    cut: int = 0


def run_students(
    network: StitchedNetwork, images: Tensor, stitches: Sequence[Stitch], *, match_cut: int | None
) -> dict[Stitch, Output]:
    """Run some stitches with autograd; what they share at their beginning runs once.

    Args:
        network: Where they run.
        images: Normalised, ``(batch, channels, rows, columns)``.
        stitches: Not the same one twice.
        match_cut: Which cut of the end anchor to keep the feature of, see `matched_cut`; a
            stitch that enters its end anchor later keeps what it enters with. ``None`` keeps none.
    """
    if len(stitches) == 1 and match_cut is None:
        return {stitches[0]: Output(network(images, stitches[0]))}
    paths: dict[tuple[Stitch, bool], Sequence[Step]] = {}
    for stitch in stitches:
        paths[stitch, False] = steps = network.space.steps(stitch)
        if match_cut is not None:
            paths[stitch, True] = steps[: _steps_before(network, stitch, match_cut)]
    keys, tree = list(paths), PathTree.of(paths.values())
    found = {keys[position]: x for position, x in run_tree(network, tree, images)}
    cuts = {stitch: _cut(network, stitch, match_cut) for stitch in stitches}
    return {each: Output(found[each, False], found.get((each, True)), cuts[each]) for each in stitches}


def _cut(network: StitchedNetwork, stitch: Stitch, match_cut: int | None) -> int:
    end = stitch.segments[-1]
    return 0 if match_cut is None else max(matched_cut(network, end.anchor, match_cut), end.start)


def _steps_before(network: StitchedNetwork, stitch: Stitch, match_cut: int) -> int:
    """Number of steps up to the feature that is kept: all but the last blocks and the head."""
    blocks = stitch.segments[-1].stop - _cut(network, stitch, match_cut)
    return len(network.space.steps(stitch)) - blocks - 1


def matched_cut(network: StitchedNetwork, anchor: str, match_cut: int) -> int:
    """Number of an anchor's cut that is counted from the end.

    Args:
        network: Knows the anchor's depth.
        anchor: Its name.
        match_cut: -1 for the last cut, before the head, and so on.

    Raises:
        StitchError: The anchor has not so many cuts.
    """
    cuts = len(network.space.outlines[anchor].features)
    if not -cuts <= match_cut <= -1:
        raise StitchError(
            f"train.objective.match_cut is {match_cut}; {anchor} has the cuts -1 to {-cuts}. "
            "Give one of them."
        )
    return cuts + match_cut
