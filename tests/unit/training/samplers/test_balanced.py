from collections import Counter
from itertools import pairwise

import pytest
from scipy.stats import chisquare

from stitchable.errors import StitchError
from stitchable.space.build import build_space
from stitchable.training.samplers.balanced import BalancedSampler, cost_groups


def test_groups_are_those_of_the_paper_s_rule():
    """SN-Netv2: sorted by cost; more than a gap above the group's first opens a new one."""
    assert cost_groups([0, 10, 11, 20, 21, 22, 40], gap=10) == [[0, 1], [2, 3, 4], [5], [6]]
    assert cost_groups([40, 22, 21, 20, 11, 10, 0], gap=10) == [[6, 5], [4, 3, 2], [1], [0]]
    assert cost_groups([7, 7, 8], gap=0) == [[0, 1], [2]]
    assert cost_groups([1, 2, 3], gap=100) == [[0, 1, 2]]
    assert cost_groups([], gap=1) == []


def test_a_group_comes_first_then_a_stitch_of_it(space):
    sampler = BalancedSampler(space, seed=0, gap=6_000)
    costs = [[space.cost(stitch).macs for stitch in group] for group in sampler.groups]
    assert sorted(stitch for group in sampler.groups for stitch in group) == sorted(space)
    assert all(max(group) <= min(group) + 6_000 for group in costs)
    firsts = [min(group) for group in costs]
    assert all(after > before + 6_000 for before, after in pairwise(firsts))
    assert len({len(group) for group in sampler.groups}) > 1  # else it is uniform
    draws = 400 * space.count
    counts = Counter(sampler(step)[0] for step in range(draws))
    expected = {
        stitch: draws / len(sampler.groups) / len(group) for group in sampler.groups for stitch in group
    }
    assert counts.keys() == expected.keys()
    assert chisquare([counts[key] for key in expected], list(expected.values())).pvalue > 1e-3


@pytest.mark.parametrize("scale", [1, 10**6])
def test_the_default_gap_is_a_tenth_of_the_range_whatever_the_scale(outline, scale):
    anchors = [outline("a", 12, 2, macs=100 * scale), outline("b", 12, 3, macs=400 * scale)]
    space = build_space(anchors)
    costs = [space.cost(stitch).macs for stitch in space]
    gap = (max(costs) - min(costs)) / 10
    groups = BalancedSampler(space).groups
    assert groups == BalancedSampler(space, gap=gap).groups
    assert 8 <= len(groups) <= 10


def test_several_stitches_are_different_and_dearest_first(space):
    sampler = BalancedSampler(space, seed=4, stitches_per_step=3)
    for step in range(200):
        costs = [space.cost(stitch).macs for stitch in sampler(step)]
        assert len(set(sampler(step))) == 3
        assert costs == sorted(costs, reverse=True)
    with pytest.raises(StitchError, match=f"at most the {space.count} stitches"):
        BalancedSampler(space, stitches_per_step=space.count + 1)


def test_a_space_too_large_to_list_gives_candidates(huge):
    sampler = BalancedSampler(huge, seed=0, candidates=300)
    members = [stitch for group in sampler.groups for stitch in group]
    assert len(set(members)) == len(members) == 300
    assert {outline.stitch for outline in huge.outlines.values()} <= set(members)
    assert {sampler(step)[0] for step in range(50)} <= set(members)
    other = BalancedSampler(huge, seed=1, candidates=300)
    assert {stitch for group in other.groups for stitch in group} != set(members)
