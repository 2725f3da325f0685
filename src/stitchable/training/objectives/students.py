"""Running the stitches of a step: logits, and a late feature where it is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.space.steps import Step
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
    """Run some stitches with autograd.

    Args:
        network: Where they run.
        images: Normalised, ``(batch, channels, rows, columns)``.
        stitches: Each is run once.
        match_cut: Which cut of the end anchor to keep the feature of, see `matched_cut`; a
            stitch that enters its end anchor later keeps what it enters with. ``None`` keeps none.
    """
    if match_cut is None:
        return {stitch: Output(network(images, stitch)) for stitch in stitches}
    return {stitch: _run_keeping(network, images, stitch, match_cut) for stitch in dict.fromkeys(stitches)}


def _run_keeping(network: StitchedNetwork, x: Tensor, stitch: Stitch, match_cut: int) -> Output:
    end = stitch.segments[-1]
    cut = max(matched_cut(network, end.anchor, match_cut), end.start)
    behind = Step("block", end.anchor, cut) if cut < end.stop else Step("head", end.anchor)
    steps, feature = network.space.steps(stitch), None
    # A path that comes back to its end anchor may run the block twice; the last time counts.
    last = max(number for number, step in enumerate(steps) if step == behind)
    for number, step in enumerate(steps):
        if number == last:
            feature = x
        x = network.apply_step(step, x)
    return Output(x, feature, cut)


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
