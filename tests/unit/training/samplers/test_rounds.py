from collections import Counter

import pytest
from scipy.stats import chisquare

from stitchable.errors import StitchError
from stitchable.space.draw import permuted_index
from stitchable.training.samplers.rounds import RoundsSampler


@pytest.mark.parametrize("count", [1, 2, 3, 17, 26, 64, 1000])
def test_an_order_holds_every_place_once(count):
    assert sorted(permuted_index(count, place, "x", 5) for place in range(count)) == list(range(count))


def test_all_orders_come_alike():
    orders = Counter(tuple(permuted_index(4, place, "x", key) for place in range(4)) for key in range(4800))
    assert len(orders) == 24
    assert chisquare(list(orders.values())).pvalue > 1e-3


def test_every_stitch_comes_once_in_a_round_and_rounds_differ(space):
    sampler, size = RoundsSampler(space, seed=2), space.count
    rounds = [[sampler(turn * size + place)[0] for place in range(size)] for turn in range(40)]
    assert all(sorted(each) == sorted(space) for each in rounds)
    assert len(set(map(tuple, rounds))) == 40
    first = Counter(each[0] for each in rounds)
    assert max(first.values()) < 12


@pytest.mark.parametrize("several", [2, 3, 4])
def test_steps_of_several_take_different_stitches_and_leave_out_other_ones(space, several):
    sampler, length = RoundsSampler(space, stitches_per_step=several), space.count // several
    left_out = set()
    for turn in range(30):
        drawn = [stitch for place in range(length) for stitch in sampler(turn * length + place)]
        assert len(drawn) == len(set(drawn)) == length * several
        left_out |= set(space) - set(drawn)
    over = space.count % several
    assert len(left_out) > 3 * over if over else not left_out


def test_a_space_that_cannot_be_listed_has_rounds_too(huge):
    assert len({RoundsSampler(huge)(step) for step in range(500)}) == 500


def test_more_stitches_than_there_are_is_refused(space):
    with pytest.raises(StitchError, match=f"at most the {space.count} stitches"):
        RoundsSampler(space, stitches_per_step=space.count + 1)
