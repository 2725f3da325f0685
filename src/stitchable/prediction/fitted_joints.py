"""The stitching test: joints fitted by least squares, and the accuracy that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor

from stitchable.evaluation.answers import Answers
from stitchable.evaluation.paired import compare
from stitchable.evaluation.rows import curve_rows
from stitchable.evaluation.sweep import measure, tallies
from stitchable.evaluation.trie import Trie
from stitchable.initialization.fit import fit_least_squares
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.prediction.tested_joint import JointTest
from stitchable.ranks import ALONE, Ranks


def stitching_test(
    network: StitchedNetwork,
    fitting: Iterable[Tensor],
    measuring: Iterable[tuple[Tensor, Tensor]],
    *,
    calibration: Iterable[Tensor] | None = None,
    match_variance: bool = True,
    on_batch: Callable[[int], None] | None = None,
    ranks: Ranks = ALONE,
) -> tuple[list[JointTest], dict[str, float]]:
    """Fit every joint of a network and measure the stitch through it. Nothing is trained.

    Args:
        network: Of a space of single joints, each with a layer of its own; the layers are set.
        fitting: Normalised images ``(batch, channels, rows, columns)`` for least squares.
        measuring: Normalised images with labels ``(batch,)``, int64, which no layer was fitted to.
        calibration: Images on which BatchNorm statistics behind the joints are adjusted to each stitch, see
            `Trie`; ``None`` keeps those of the anchors.
        match_variance: See `stitchable.initialization.least_squares.LeastSquares.solve`.
        on_batch: Called with the number of images after each measured batch.
        ranks: The processes that share the batches; each gives its own, and all get the same answer.

    Returns:
        One entry per joint, in the space's order; and top-1 of each anchor on the same images, percent.

    Raises:
        StitchError: No images came, or too few to fit to.

    Source: Lenc and Vedaldi 2015; Bansal, Nakkiran and Barak 2021; here the layers are solved for.
    """
    fits = {
        fit.layer: fit
        for fit in fit_least_squares(network, fitting, match_variance=match_variance, ranks=ranks)
    }
    space, joints = network.space, network.space.joints
    stitches = [space.through([joint]) for joint in joints]
    shown = [*(outline.stitch for outline in space.outlines.values()), *stitches]
    answers = Answers(len(shown))  # all of them are kept: the drops are paired
    with evaluating(network):
        trie = Trie(network, shown, calibration=calibration, ranks=ranks)
        measure(answers, [trie], lambda start, stop: measuring, on_batch=on_batch, ranks=ranks)
    rows = curve_rows(space, shown, tallies(answers, trie))
    outcomes = answers.outcomes([str(each) for each in shown])
    found = []
    for joint, row in zip(joints, rows[len(space.outlines) :], strict=True):
        change = compare(outcomes, str(space.outlines[joint.end].stitch), row.stitch)
        found.append(
            JointTest(
                joint,
                row.stitch,
                row.macs,
                fits[joint.layer].r2,
                row.top1,
                row.top1_low,
                row.top1_high,
                drop=0.0 - change.difference,  # not −0
                drop_low=0.0 - change.high,
                drop_high=0.0 - change.low,
                fit_images=fits[joint.layer].images,
                images=row.images,
            )
        )
    return found, {row.anchor: row.top1 for row in rows if row.anchor is not None}
