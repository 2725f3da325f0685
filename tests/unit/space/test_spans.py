"""Spans against steps: the same path, written twice."""

from __future__ import annotations

from stitchable.cost.parts import PartCost
from stitchable.feature import FeatureSpec
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.outline import Outline
from stitchable.space.steps import Step


def outline(name: str, macs: int, depth: int) -> Outline:
    cut = FeatureSpec("tokens", 4 * macs, (2, 2))
    part = PartCost(macs)
    return Outline(name, (cut,) * (depth + 1), (0,) * depth, part, (part,) * depth, part)


def test_spans_spell_out_the_steps_of_every_stitch() -> None:
    space = build_space([outline("a", 1, 4), outline("b", 2, 4)], SpaceOptions(rule="two_way"))
    for stitch in space:
        spelled = [Step("stem", stitch.anchors[0])]
        for anchor, start, stop, layer, joint in space.spans(stitch):
            spelled += [Step("block", anchor, block, joint) for block in range(start, stop)]
            spelled += [Step("layer", layer)] if layer is not None else []
        assert [span.joint for span in space.spans(stitch)] == ["", *map(str, space.path(stitch))]
        assert (*spelled, Step("head", stitch.anchors[-1], joint=joint)) == space.steps(stitch)
