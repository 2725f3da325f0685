from collections import Counter

import pytest
from scipy.stats import chisquare

from stitchable.errors import StitchError
from stitchable.training.samplers.sandwich import SandwichSampler


@pytest.mark.parametrize("random", [0, 1, 3])
def test_both_ends_and_others_in_every_step(space, random):
    sampler = SandwichSampler(space, seed=0, random=random)
    by_cost = sorted(space, key=lambda stitch: space.cost(stitch).macs)
    for step in range(50):
        stitches = sampler(step)
        assert len(set(stitches)) == len(stitches) == 2 + random
        costs = [space.cost(stitch).macs for stitch in stitches]
        assert costs == sorted(costs, reverse=True)
        assert (costs[0], costs[-1]) == (space.cost(by_cost[-1]).macs, space.cost(by_cost[0]).macs)


def test_what_lies_between_is_drawn_alike(space):
    sampler = SandwichSampler(space, seed=1, random=1)
    between = set(space) - set(sampler.ends)
    counts = Counter(sampler(step)[1] for step in range(200 * len(between)))
    assert counts.keys() == between
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_ranks_share_the_ends_and_draw_the_others(space):
    sampler = SandwichSampler(space, random=2)
    steps = [[sampler(step, rank) for rank in range(3)] for step in range(30)]
    assert all(len({(each[0], each[-1]) for each in ranks}) == 1 for ranks in steps)
    assert any(len(set(ranks)) == 3 for ranks in steps)


def test_there_must_be_enough_others(space):
    everything = SandwichSampler(space, random=space.count - 2)(0)
    assert set(everything) == set(space)
    with pytest.raises(StitchError, match=f"random must be at most the {space.count - 2} stitches"):
        SandwichSampler(space, random=space.count - 1)


def test_a_space_too_large_to_list(huge):
    sampler = SandwichSampler(huge, seed=0, random=2)
    costs = [[huge.cost(stitch).macs for stitch in sampler(step)] for step in range(100)]
    assert len({stitch for step in range(100) for stitch in sampler(step)}) == 202
    assert all(each[0] >= max(each) and each[-1] <= min(each) for each in costs)
    assert min(map(min, costs)) < 1_000 * 10  # anchor a alone has ten parts; a stitch may skip some
