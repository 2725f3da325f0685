"""From outlines and options to a stitching space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from stitchable.errors import StitchError, check_choices
from stitchable.feature import FeatureSpec
from stitchable.space.joint import Joint
from stitchable.space.match import Match, match_stages
from stitchable.space.outline import Outline
from stitchable.space.rules import Pairs, climbing, descending, paired, unpaired
from stitchable.space.space import StitchingSpace

Direction = Literal["fast_to_slow", "slow_to_fast", "both"]
Rule = Literal["auto", "two_way", "given"]


@dataclass(frozen=True)
class SpaceOptions:
    """Which stitches to allow.

    Attributes:
        kernel: Window width in blocks, for anchors of equal depth.
        stride: Window step in blocks.
        pairs: ``"nearest"`` joins only neighbours in cost, ``"all"`` every two anchors.
        direction: ``"fast_to_slow"`` leaves the cheaper anchor, ``"slow_to_fast"`` the dearer one.
        joints: Largest number of stitching layers in one stitch.
        match: ``"stage"`` joins stages of equal number, ``"grid"`` stages of equal grids (the most alike
            ones where no two are equal); ``"auto"`` is ``"stage"`` for anchors of equally many stages.
        stages: Stages of the front anchor in which it is left; ``None`` means all, but for the last one
            where both anchors are hierarchical.
        sharing: ``"rule"`` lets the pairs of one window, or of one front block, share a stitching layer
            as the papers do; ``"none"`` gives every pair its own. A deployed stitch costs the same.
        rule: ``"auto"`` uses windows for equal depths and the nearest front block otherwise;
            ``"two_way"`` is SN-Netv2's space of two anchors with up to two joints. ``"given"`` stands in
            runs whose space was given and not built, as that of ``stitchable reassemble``: it is saved with
            the network, and none of these options says what it is.
    """

    kernel: int = 2
    stride: int = 1
    pairs: Literal["nearest", "all"] = "nearest"
    direction: Direction = "fast_to_slow"
    joints: int = 1
    match: Literal["auto", "stage", "grid"] = "auto"
    stages: tuple[int, ...] | None = None
    sharing: Literal["rule", "none"] = "rule"
    rule: Rule = "auto"

    def __post_init__(self) -> None:
        check_choices(self, "space")
        if self.kernel < 1 or self.stride < 1 or self.joints < 0:
            raise StitchError(
                f"Got kernel {self.kernel}, stride {self.stride}, joints {self.joints}; "
                "kernel and stride must be at least 1, joints at least 0."
            )


def build_space(outlines: Sequence[Outline], options: SpaceOptions | None = None) -> StitchingSpace:
    """Join the anchors by the rules of ``options``.

    The anchors are put in the order of their MACs. Joints, and so the stitches' indices, follow the
    published tables: by stage, then by pair of anchors, then window by window.

    Raises:
        StitchError: Fewer than two anchors, two of one name, stages that are not there, or a space that was
            given.

    Source: Pan et al. 2023, section 3.3; SN-Netv2 for ``two_way``.
    """
    options = options or SpaceOptions()
    if options.rule == "given":
        raise StitchError(
            "space.rule 'given' stands for a space that is saved with its network and cannot be built again. "
            "Use 'auto' or 'two_way', or make the network anew with 'stitchable reassemble'."
        )
    anchors = sorted(outlines, key=lambda outline: outline.cost.macs)
    if len(anchors) < 2:
        raise StitchError(f"Got {len(anchors)} anchor. A stitching space needs at least two.")
    names = [anchor.name for anchor in anchors]
    if len(set(names)) < len(names):
        raise StitchError(f"Anchor names must differ; got {', '.join(names)}. Name them like 'small=…'.")
    if options.rule == "two_way":
        if len(anchors) != 2:
            raise StitchError(f"Two-way stitching takes two anchors; got {len(anchors)}.")
        direction: Direction = "both"
        most_joints = 2
    else:
        direction, most_joints = options.direction, options.joints
    pairs = _ordered_pairs(anchors, options.pairs, direction)
    matches = [match_stages(front, end, by=options.match, stages=options.stages) for front, end in pairs]
    joints: list[Joint] = []
    for stage in range(max(anchor.stage_count for anchor in anchors)):
        for (front, end), found in zip(pairs, matches, strict=True):
            for match in found:
                if match.stage == stage:
                    joints += _joints_of_match(front, end, match, options)
    return StitchingSpace(anchors, joints, most_joints=most_joints)


def _ordered_pairs(
    anchors: Sequence[Outline], pairs: str, direction: Direction
) -> list[tuple[Outline, Outline]]:
    ascending = list(pairwise(anchors))
    if pairs == "all":
        for distance in range(2, len(anchors)):
            ascending += zip(anchors, anchors[distance:], strict=False)
    if direction == "fast_to_slow":
        return ascending
    back = [(end, front) for front, end in ascending]
    return back if direction == "slow_to_fast" else ascending + back


def _groups(front_depth: int, end_depth: int, options: SpaceOptions, *, hierarchical: bool) -> list[Pairs]:
    if options.rule == "two_way":
        return (
            climbing(front_depth, end_depth)
            if front_depth <= end_depth
            else descending(front_depth, end_depth)
        )
    if front_depth == end_depth:
        return paired(front_depth, kernel=options.kernel, stride=options.stride, ascending=hierarchical)
    return unpaired(front_depth, end_depth) if front_depth < end_depth else descending(front_depth, end_depth)


def _joints_of_match(front: Outline, end: Outline, match: Match, options: SpaceOptions) -> list[Joint]:
    hierarchical = front.stage_count > 1 or end.stage_count > 1
    groups = _groups(len(match.front), len(match.end), options, hierarchical=hierarchical)
    joints = []
    for number, pairs in enumerate(groups):
        variants: dict[tuple[FeatureSpec, FeatureSpec], int] = {}
        for position, (j, k) in enumerate(pairs):
            leave, enter = match.front[j] + 1, match.end[k]
            layer = f"{front.name}>{end.name}:{match.stage}-{number}"
            if options.sharing == "none":
                layer += f"-{position}"
            # Stages of one grid may differ in width; pairs of unlike features cannot share a layer.
            unstaged = [replace(each, stage=0) for each in (front.features[leave], end.features[enter])]
            variant = variants.setdefault((unstaged[0], unstaged[1]), len(variants))
            if variant:
                layer += f"w{variant}"
            joints.append(Joint(front.name, leave, end.name, enter, layer))
    return joints
