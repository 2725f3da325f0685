from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.space.rules import climbing, descending, paired, unpaired

DEPTH, WINDOW = st.integers(1, 16), st.integers(1, 5)


def flat(groups):
    return [pair for pairs in groups for pair in pairs]


@given(depth=DEPTH, kernel=WINDOW, stride=WINDOW, ascending=st.booleans())
def test_windows_take_every_pair_that_fits_in_one_once(depth, kernel, stride, ascending):
    groups = paired(depth, kernel=kernel, stride=stride, ascending=ascending)
    fits = {
        (j, k)
        for j, k in product(range(depth), repeat=2)
        if any(start <= min(j, k) and max(j, k) < start + kernel for start in range(0, depth, stride))
        and (j < k or not ascending)
    }
    assert set(flat(groups)) == fits
    assert len(flat(groups)) == len(fits)
    assert all(groups)
    for pairs in groups:  # a layer is shared inside one window only
        ids = [block for pair in pairs for block in pair]
        assert any(start <= min(ids) and max(ids) < start + kernel for start in range(0, depth, stride))


def test_the_papers_window():
    groups = paired(12, kernel=2, stride=1)
    assert len(groups) == 11
    assert len(flat(groups)) == 34
    # window by window; in a window j outer, k inner
    assert groups[0] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert groups[1] == [(1, 2), (2, 1), (2, 2)]


@given(front=st.integers(1, 24), more=st.integers(1, 24))
def test_unpaired_gives_every_front_block_its_own_layer(front, more):
    end = front + more
    groups = unpaired(front, end)
    expected = {(i * front // end, i) for i in range(end) if i * front // end < i}
    assert set(flat(groups)) == expected
    assert len(flat(groups)) == len(expected)
    fronts = [{j for j, _ in pairs} for pairs in groups]
    assert all(len(blocks) == 1 for blocks in fronts)
    assert len(set.union(*fronts)) == len(groups)


def test_released_code_shares_unpaired_layers_off_by_one():
    # ResNet-18's two blocks before ResNet-50's six: (0, 1), (0, 2) on one layer, the rest on another.
    assert unpaired(2, 6) == [[(0, 1), (0, 2)], [(1, 3), (1, 4), (1, 5)]]


@pytest.mark.parametrize(("small", "large"), [(12, 24), (12, 12), (3, 9), (5, 12)])
def test_two_way_halves_follow_the_formula(small, large):
    up, down = flat(climbing(small, large)), flat(descending(large, small))
    ratio = large // small
    assert up == [(i, ratio * (i + 1)) for i in range(small - 1)]
    assert all(k == i * small // large + 1 for i, k in down)
    assert [k for _, k in down] == list(range(1, small))
    assert all(len(pairs) == 1 for pairs in climbing(small, large) + descending(large, small))


def test_two_way_leaves_the_large_anchor_after_odd_blocks_when_depths_double():
    assert [i for i, _ in flat(descending(24, 12))] == list(range(1, 23, 2))
    assert [i for i, _ in flat(descending(12, 12))] == list(range(11))


@pytest.mark.parametrize("window", [{"kernel": 0}, {"stride": 0}, {"kernel": -1}])
def test_windows_are_positive(window):
    with pytest.raises(StitchError, match="must be at least 1"):
        paired(4, **window)
