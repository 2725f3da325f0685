from collections import Counter

import pytest
from scipy.stats import chisquare

from stitchable.errors import StitchError
from stitchable.space.band import CostBand
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.prune import ListedSpace
from stitchable.space.running import RunningCosts
from stitchable.space.ways import Ways

COARSE = 1  # byte: the tables are as short as they may be, so that costs are rounded


def inside(space, low, high):
    return [stitch for stitch in space if low <= space.cost(stitch).macs <= high]


def quantiles(space, *shares):
    costs = sorted(space.cost(stitch).macs for stitch in space)
    return [costs[int(share * (len(costs) - 1))] for share in shares]


@pytest.mark.parametrize("seed", range(6))
def test_every_path_is_found_once_and_costs_about_its_units(uneven, seed):
    space = uneven(seed)
    for unit in (1, 7, 500):
        ways = Ways(space, RunningCosts(space), unit=unit, most=200_000 // unit)
        found = [ways.at(index, 0, 200_000 // unit) for index in range(ways.between(0, 200_000 // unit))]
        assert Counter(each.stitch for each in found) == Counter(space)
        assert all(each.macs == space.cost(each.stitch).macs for each in found)
        for index in range(0, len(found), 5):
            low = 200 * index // unit
            chosen = [ways.at(number, low, low + 3) for number in range(ways.between(low, low + 3))]
            for each in chosen:
                joints = len(each.stitch.joints)
                assert (low - joints) * unit <= each.macs < (low + 3 + 2 * joints + 1) * unit


@pytest.mark.parametrize("seed", range(6))
def test_counts_bracket_those_of_the_list(uneven, seed):
    space = uneven(seed, joints=30)
    low, high = quantiles(space, 0.3, 0.6)
    band, rough = CostBand(space, low, high), CostBand(space, low, high, memory_bytes=COARSE)
    count = len(inside(space, low, high))
    assert band.at_least == band.at_most == count > 0  # their costs are small enough to be told apart
    assert rough.at_least <= count <= rough.at_most
    assert set(rough.sample(50)) <= set(inside(space, low, high))


def test_costs_with_a_common_divisor_are_counted_exactly_in_short_tables(outline):
    space = build_space(
        [outline("a", 5, 8, macs=10**9), outline("b", 6, 8, macs=3 * 10**9)],
        SpaceOptions(direction="both", joints=3),
    )
    # What a joint costs is no multiple, so every path over two of them is told from those over one.
    low, high = quantiles(space, 0.2, 0.7)
    band = CostBand(space, low, high)
    assert band.at_most == len(inside(space, low, high))


@pytest.mark.parametrize("memory", [2**26, COARSE], ids=["exact", "rounded"])
def test_draws_are_uniform(uneven, memory, monkeypatch):
    monkeypatch.setattr("stitchable.space.band.FEW", 0)  # the list would be uniform for another reason
    space = uneven(4, joints=14)
    low, high = quantiles(space, 0.35, 0.75)
    members = inside(space, low, high)
    assert 20 < len(members) < 200
    draws = Counter(CostBand(space, low, high, memory_bytes=memory).sample(20 * len(members), seed=1))
    assert set(draws) == set(members)
    assert chisquare([draws[stitch] for stitch in members]).pvalue > 0.001


def test_draws_are_a_pure_function_of_the_key(uneven):
    space = uneven(2, joints=30)
    low, high = quantiles(space, 0.1, 0.9)
    first, second = CostBand(space, low, high), CostBand(space, low, high)
    assert [first.draw("x", step) for step in range(20)] == [second.draw("x", step) for step in range(20)]
    assert len({first.draw("x", step) for step in range(20)}) > 10
    assert first.sample(5, seed=1) != first.sample(5, seed=2)


@pytest.mark.parametrize("memory", [2**26, COARSE])
def test_a_band_of_one_cost_holds_those_that_cost_it(uneven, memory):
    space = uneven(1, joints=30)
    cost = space.cost(space[space.count // 2]).macs
    band = CostBand(space, cost, cost, memory_bytes=memory)
    assert set(band.sample(30)) == set(inside(space, cost, cost))


@pytest.mark.parametrize("memory", [2**26, COARSE])
def test_an_empty_band_is_refused(uneven, memory):
    space = uneven(1, joints=30)
    costs = sorted({space.cost(stitch).macs for stitch in space})
    wide = max(range(len(costs) - 1), key=lambda place: costs[place + 1] - costs[place])
    with pytest.raises(StitchError, match="No stitch has"):
        CostBand(space, costs[wide] + 1, costs[wide + 1] - 1, memory_bytes=memory)
    with pytest.raises(StitchError, match="No stitch has"):
        CostBand(space, costs[-1] + 1, 2 * costs[-1], memory_bytes=memory)
    with pytest.raises(StitchError, match="goes from 0"):
        CostBand(space, 5, 4)


def test_a_listed_space_gives_members_alone(uneven):
    space = uneven(3, joints=30)
    listed = ListedSpace(space, list(space)[::3])
    low, high = quantiles(space, 0.2, 0.8)
    assert set(CostBand(listed, low, high).sample(200)) <= set(inside(listed, low, high))


def test_a_space_without_joints_has_its_anchors(outline):
    space = build_space([outline("a", 3, macs=10), outline("b", 3, macs=90)], SpaceOptions(joints=0))
    assert [str(stitch) for stitch in CostBand(space, 400, 500).sample(3)] == ["b[0:3]"] * 3


def test_more_stitches_than_64_bits_count(uneven):
    space = uneven(8, joints=90, most=16, blocks=16)
    assert space.count > 2**63
    low, high = 60_000, 70_000
    band = CostBand(space, low, high, memory_bytes=2**22)
    drawn = band.sample(8)
    assert all(low <= space.cost(stitch).macs <= high for stitch in drawn)
    assert len(set(drawn)) > 5
    assert 0 < band.at_most < space.count
