"""Curves and similarities whose numbers come from a formula with noise."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable

import pytest

from stitchable.evaluation.curve import CurveRow
from stitchable.prediction.tested_joint import JointTest, accuracy_correlations
from stitchable.report.similarity_result import SimilarityMap, SimilarityResult
from stitchable.similarity.pair import Measure, PairSimilarity
from stitchable.space.alike import alike_joints, every_joint
from stitchable.space.outline import Outline

MakeRows = Callable[..., list[CurveRow]]
MEASURES: tuple[Measure, ...] = ("cka", "r2")


def make_rows(count: int, depth: int = 12) -> list[CurveRow]:
    """Two anchors of ``depth`` blocks and ``count - 2`` different stitches, priced and graded by formula."""
    noise = random.Random(7)
    rows = [
        _row(0, f"small[0:{depth}]", 0.0, noise, "small"),
        _row(1, f"large[0:{depth}]", 1.0, noise, "large"),
    ]
    assert count - 2 <= (depth - 1) ** 2
    for index in range(2, count):
        start, stop = 1 + (index - 2) % (depth - 1), 1 + (index - 2) // (depth - 1)
        rows.append(_row(index, f"small[0:{start}]+large[{stop}:{depth}]", noise.random(), noise, None))
    return [
        dataclasses.replace(row, on_front=not any(o.macs <= row.macs and o.top1 > row.top1 for o in rows))
        for row in rows
    ]


def _row(index: int, stitch: str, share: float, noise: random.Random, anchor: str | None) -> CurveRow:
    top1 = 91.5 + 1.9 * math.sqrt(share) + noise.gauss(0, 0.15)
    half = 196 * math.sqrt(top1 / 100 * (1 - top1 / 100) / 10_000)
    original = top1 + 0.1 if anchor else None
    return CurveRow(
        index,
        stitch,
        macs=41_200_000 + round(85_600_000 * share),
        params=272_000 + round(580_000 * share),
        top1=top1,
        top1_low=top1 - half,
        top1_high=top1 + half,
        loss=0.3 - 0.05 * share,
        images=10_000,
        on_front=False,
        anchor=anchor,
        original_top1=original,
        original_top1_low=original - half if original else None,
        original_top1_high=original + half if original else None,
        original_loss=0.29 if anchor else None,
    )


@pytest.fixture(name="make_rows")
def _make_rows() -> MakeRows:
    return make_rows


@pytest.fixture
def depths() -> dict[str, int]:
    return {"small": 12, "large": 12}


@pytest.fixture(scope="session")
def similarity(outline: Callable[..., Outline]) -> SimilarityResult:
    """Two measures of two staged anchors by formula, every joint tested, accuracies with noise."""
    front, end = outline("small", [2, 2], 4), outline("large", [2, 4], 8)
    generator = random.Random(3)

    def cell(measure: Measure, row: int, column: int) -> PairSimilarity:
        value = math.exp(-abs(row / 4 - column / 6)) - 0.4 + generator.gauss(0, 0.02)
        return PairSimilarity(measure, ("small", row), ("large", column), value, value - 0.02, value + 0.03)

    stages = [tuple(spec.stage for spec in each.features) for each in (front, end)]
    maps, at = [], {}
    for measure in MEASURES:
        cells = tuple(tuple(cell(measure, row, column) for column in range(7)) for row in range(5))
        values = {(each.front, each.end): each.value for row in cells for each in row}
        chosen = list(alike_joints(front, end, values))
        marked = frozenset((joint.leave, joint.enter) for joint in chosen)
        maps.append(SimilarityMap(measure, "small", "large", stages[0], stages[1], cells, marked))
        at[measure] = {joint: cells[joint.leave][joint.enter] for joint in every_joint(front, end)}
    tested = []
    for joint, each in at["cka"].items():
        top1 = 60 + 30 * each.value + generator.gauss(0, 4)
        tested.append(
            JointTest(joint, f"small[0:{joint.leave}]+large[{joint.enter}:6]", 10**6, each.value, top1,
                      top1 - 2, top1 + 2, 92 - top1, 90 - top1, 94 - top1, 60, 400)
        )  # fmt: skip
    known = {measure: {joint: each.value for joint, each in values.items()} for measure, values in at.items()}
    first = [joint for joint in every_joint(front, end) if (joint.leave, joint.enter) in maps[0].chosen]
    return SimilarityResult(
        outlines={"small": front, "large": end},
        sources=["small", "large"],
        options={"rows": "pooled"},
        data="digits:val",
        images=90,
        measures=MEASURES,
        maps=maps,
        similarity=at,
        chosen=first,
        tested=tested,
        anchors_top1={"small": 80.0, "large": 92.0},
        correlations=accuracy_correlations(tested, known),
    )
