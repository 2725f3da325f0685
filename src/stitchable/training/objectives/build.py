"""From options to an objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stitchable.data.mixing import Mixing
from stitchable.errors import StitchError, nearest
from stitchable.network import StitchedNetwork
from stitchable.training.guard import AnchorGuard
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.objectives.objective import WeightedSum, WeightedTerm
from stitchable.training.objectives.students import matched_cut
from stitchable.training.objectives.teachers import Teachers, check_teacher
from stitchable.training.objectives.terms import (
    END_ANCHOR,
    CrossEntropy,
    FeatureMatching,
    HardDistillation,
    InPlaceDistillation,
    SoftDistillation,
    Term,
)
from stitchable.training.options import TrainOptions
from stitchable.training.step import memory_format

if TYPE_CHECKING:
    from stitchable.anchors.anchor import Anchor


def build_objective(
    network: StitchedNetwork,
    options: TrainOptions,
    *,
    seed: int = 0,
    teacher: Anchor | None = None,
    guard: AnchorGuard | None = None,
    rank: int = 0,
) -> WeightedSum:
    """The objective that some options describe.

    Args:
        network: As it is before joint training: originals are copied from it, those that are needed.
        options: Their ``objective`` and ``label_smoothing``.
        seed: Of mixup and cutmix.
        teacher: The model that ``objective.teacher`` names, where that is no anchor of the network.
        guard: Says how much an anchor learns from its original besides, where the guard steers.
        rank: Of the process, for mixup and cutmix.

    Raises:
        StitchError: The teacher is unknown or does not fit, or ``match_cut`` lies before an anchor's stem.
    """
    wanted, smoothing = options.objective, options.label_smoothing
    named, asked = _teacher(network, wanted, teacher)
    weights = wanted.weights
    terms: dict[str, Term] = {
        "cross_entropy": CrossEntropy(smoothing),
        "hard_distillation": HardDistillation(named),
        "soft_distillation": SoftDistillation(named, wanted.temperature),
        "in_place_distillation": InPlaceDistillation(wanted.temperature, smoothing),
        "feature_matching": FeatureMatching(),
    }
    chosen = [WeightedTerm(name, weights[name], terms[name]) for name in terms if weights[name]]
    steers = guard is not None and guard.options.steers
    if guard is not None and steers:
        chosen.append(WeightedTerm("guard", guard.weight, SoftDistillation(END_ANCHOR)))
    if wanted.feature_matching:
        for name in network.anchors:
            matched_cut(network, name, wanted.match_cut)  # refuses now rather than at some step
    if wanted.feature_matching or steers or named == END_ANCHOR:
        asked |= dict(network.anchors)
    return WeightedSum(
        chosen,
        teachers=Teachers(asked, layout=memory_format(options)),
        match_cut=wanted.match_cut if wanted.feature_matching else None,
        mixing=_mixing(network, wanted, smoothing, seed=seed, rank=rank),
    )


def _mixing(
    network: StitchedNetwork, options: ObjectiveOptions, smoothing: float, *, seed: int, rank: int
) -> Mixing | None:
    if not options.mixes:
        return None
    return Mixing(
        classes=network.class_count,
        mixup=options.mixup,
        cutmix=options.cutmix,
        probability=options.mix_probability,
        cutmix_share=options.cutmix_share,
        smoothing=smoothing,
        seed=seed,
        rank=rank,
    )


def _teacher(
    network: StitchedNetwork, options: ObjectiveOptions, teacher: Anchor | None
) -> tuple[str, dict[str, Anchor]]:
    """What the terms call the teacher, and the anchors to copy for it."""
    name = options.teacher
    if not options.asks_teacher:
        return "", {}
    if name is None:
        name = max(network.anchors, key=lambda each: network.space.outlines[each].cost.macs)
    if name in network.anchors:
        return name, {name: network.anchors[name]}
    if name == END_ANCHOR:
        return END_ANCHOR, {}
    if teacher is None:
        known = [*network.anchors, END_ANCHOR]
        raise StitchError(f"No teacher {name!r} was loaded. {nearest(name, known)}")
    check_teacher(teacher, network)
    return name, {name: teacher}
