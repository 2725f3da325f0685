"""MACs against latency, against brute force."""

import random
from dataclasses import replace

import numpy as np
import pytest

from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCost
from stitchable.evaluation.disagreement import flips, latency_front, overtaken, spearman
from stitchable.evaluation.pareto import front


@pytest.fixture
def measured():
    noise = random.Random(3)
    rows = [
        CurveRow(i, f"s{i}", 1000 + 10 * i, 5, 60 + i / 10 + noise.random(), 0, 0, 1, 10, False)
        for i in range(40)
    ]
    on = front([row.macs for row in rows], [row.top1 for row in rows])
    rows = [replace(row, on_front=each) for row, each in zip(rows, on, strict=True)]
    costs = {row.stitch: DeviceCost(row.macs * (0.8 + 0.4 * noise.random()), 0, 0) for row in rows}
    return rows, costs


def test_spearman_is_the_correlation_of_mean_ranks():
    noise = random.Random(5)
    for _ in range(20):
        a, b = ([noise.randrange(8) for _ in range(15)] for _ in range(2))
        ranks = [[sum(w < v for w in x) + (x.count(v) + 1) / 2 for v in x] for x in (a, b)]
        assert spearman(a, b) == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert spearman([1, 2, 3, 4], [40, 30, 20, 10]) == pytest.approx(-1)
    assert spearman([1, 2], [5, 3]) == pytest.approx(-1)
    assert spearman([1, 1], [2, 3]) is None
    assert spearman([1], [2]) is None


def test_flips_are_pairs_that_swap_places(measured):
    rows, costs = measured
    macs = {row.stitch: row.macs for row in rows}
    expected = {
        (a, b)
        for a in macs
        for b in macs
        if macs[a] < macs[b] and costs[a].p50_ms > costs[b].p50_ms
    }  # fmt: skip
    found = flips(macs, costs, most=10**6)
    assert {(flip.fewer, flip.faster) for flip in found} == expected
    wide = [flip.macs * flip.latency for flip in found]
    assert wide == sorted(wide, reverse=True)
    first = found[0]
    assert first.macs == macs[first.faster] / macs[first.fewer]
    assert first.latency == costs[first.fewer].p50_ms / costs[first.faster].p50_ms
    assert flips(macs, costs, most=2) == found[:2]


def test_the_overtaken_are_on_one_front_alone(measured):
    rows, costs = measured
    on = {row.stitch for row, each in zip(rows, latency_front(rows, costs), strict=True) if each}
    found = overtaken(rows, costs)
    assert {each.row.stitch for each in found} == {row.stitch for row in rows if row.on_front} - on
    assert found
    for each in found:
        assert each.by.stitch in on
        assert each.by.top1 >= each.row.top1
        assert costs[each.by.stitch].p50_ms <= costs[each.row.stitch].p50_ms
