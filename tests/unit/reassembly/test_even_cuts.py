from collections import Counter
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.cost.parts import PartCost
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.reassembly.even_cuts import EvenCuts
from stitchable.space.outline import Outline


def outline_of(macs, params=None):
    held = params or [((f"{number}", 1),) for number in range(len(macs))]
    blocks = tuple(PartCost(each, label) for each, label in zip(macs, held, strict=True))
    feature = FeatureSpec("tokens", 8, (2, 2))
    ends = PartCost(10**9), PartCost(10**9)  # what no cut can move
    return Outline("a", (feature,) * (len(macs) + 1), (0,) * len(macs), ends[0], blocks, ends[1])


def listed(macs, parts):
    """Every way to cut, with the largest deviation from an even share."""
    for inner in combinations(range(1, len(macs)), parts - 1):
        cuts = (0, *inner, len(macs))
        even = sum(macs) / parts
        yield cuts, max(abs(sum(macs[start:stop]) / even - 1) for start, stop in pairwise(cuts))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=4, max_size=8), st.integers(2, 4), st.floats(0, 1))
def test_the_ways_are_those_of_the_list(macs, parts, epsilon):
    even = EvenCuts(outline_of(macs), parts=parts, epsilon=epsilon, size="macs")
    ways = dict(listed(macs, parts))
    assert even.least_epsilon == pytest.approx(min(ways.values()), abs=1e-12)
    assert even.epsilon == max(epsilon, even.least_epsilon)
    allowed = [cuts for cuts, off in ways.items() if off <= even.epsilon + 1e-9]
    assert even.count == len(allowed)
    assert even.reached == tuple(sorted({cut for cuts in allowed for cut in cuts}))
    assert even.draw("any", 0) in allowed


def test_every_way_is_drawn_equally_often():
    even = EvenCuts(outline_of([2, 1, 1, 2, 1, 1]), parts=3, epsilon=0.9, size="macs")
    drawn = Counter(even.draw("test", turn) for turn in range(400 * even.count))
    assert len(drawn) == even.count > 4
    assert max(abs(times - 400) for times in drawn.values()) < 5 * 400**0.5


@pytest.mark.parametrize(
    ("size", "cuts"), [("macs", (0, 1, 4)), ("params", (0, 3, 4)), ("blocks", (0, 2, 4))]
)
def test_a_size_is_what_it_says(size, cuts):
    params = [((f"{number}", count),) for number, count in enumerate([1, 1, 1, 3])]
    even = EvenCuts(outline_of([3, 1, 1, 1], params), parts=2, epsilon=0, size=size)
    assert (even.count, even.draw("any"), even.epsilon) == (1, cuts, 0)


def test_params_that_blocks_share_count_once():
    params = [(("shared", 9), (f"{number}", 1)) for number in range(4)] + [(("last", 10),)]
    even = EvenCuts(outline_of([1] * 5, params), parts=2, epsilon=0, size="params")
    # 9 + 4 and 10: nothing is more even, where by the sum of blocks it would be four and one as well.
    assert even.draw("any") == (0, 4, 5)
    assert even.least_epsilon == pytest.approx(13 / 11.5 - 1)


def test_too_few_blocks_are_refused():
    with pytest.raises(StitchError, match="a has 3 blocks and cannot be cut into 4"):
        EvenCuts(outline_of([1, 1, 1]), parts=4, epsilon=1, size="macs")
