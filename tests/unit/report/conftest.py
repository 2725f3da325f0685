"""Curves whose numbers come from a formula with noise."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable

import pytest

from stitchable.evaluation.curve import CurveRow

MakeRows = Callable[..., list[CurveRow]]


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
