from itertools import combinations, pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.menu.spacing import space_out


@st.composite
def problems(draw):
    points = draw(st.integers(1, 7))
    costs = draw(st.lists(st.integers(1, 40), min_size=points, max_size=points, unique=True).map(sorted))
    top1 = draw(st.lists(st.integers(0, 40), min_size=points, max_size=points, unique=True).map(sorted))
    allowed = draw(st.lists(st.booleans(), min_size=points**2, max_size=points**2))
    required = draw(st.sets(st.integers(0, points - 1), max_size=2))
    size = draw(st.integers(len(required | {0}), points + 1))
    return costs, top1, np.array(allowed).reshape(points, points), required, size


def losses(costs, top1, chosen):
    """Largest and mean loss by walking over all budgets, from one cost of the front to the next."""
    lost = [top1[at] - max(top1[each] for each in chosen if each <= at) for at in range(len(costs))]
    widths = [log(after / before) for before, after in pairwise(costs)]
    whole = sum(widths)
    mean = sum(loss * width for loss, width in zip(lost, widths, strict=False)) / whole if whole else 0.0
    return max(lost), mean


def every_choice(costs, top1, allowed, required, size):
    for count in range(1, size + 1):
        for chosen in combinations(range(len(costs)), count):
            steps = all(allowed[i, j] or j in required for i, j in pairwise(chosen))
            if chosen[0] == 0 and required <= set(chosen) and steps:
                yield losses(costs, top1, chosen)


@given(problems())
@settings(deadline=None, max_examples=80)
def test_no_choice_loses_less(problem):
    costs, top1, allowed, required, size = problem
    found = space_out(costs, top1, size, allowed=allowed, required=sorted(required))
    assert (found.largest, found.mean) == pytest.approx(losses(costs, top1, found.chosen))
    ways = list(every_choice(costs, top1, allowed, required, size))
    least = min(largest for largest, _ in ways)
    assert found.largest == least
    assert found.mean == pytest.approx(min(mean for largest, mean in ways if largest == least))
    assert len(found.chosen) <= size
    assert required <= set(found.chosen)
    assert all(allowed[i, j] or j in required for i, j in pairwise(found.chosen))


def test_a_front_that_fits_is_taken_whole():
    found = space_out([1, 2, 4, 8], [60.0, 70.0, 75.0, 76.0], 9)
    assert found.chosen == (0, 1, 2, 3)
    assert (found.largest, found.mean) == (0.0, 0.0)


def test_two_of_four_written_out():
    """{1, 4} loses 5 points just below a cost of 4, {1, 2} loses 6 from 8 on, {1, 8} loses 15."""
    found = space_out([1, 2, 4, 8], [60.0, 70.0, 75.0, 76.0], 2)
    assert found.chosen == (0, 1)
    assert found.largest == 6.0
    assert found.mean == pytest.approx((0 + 0 + 5) / 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [50.0, 60.0], 0), "A size of 0 does not hold the 1 entries"),
        (([2, 1], [50.0, 60.0], 1), "have to ascend together"),
        (([1, 2], [60.0, 60.0], 1), "have to ascend together"),
        (([0, 2], [50.0, 60.0], 1), "Give costs above 0"),
        (([], [], 1), "0 costs and 0 accuracies are no front"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(StitchError, match=message):
        space_out(*arguments)
