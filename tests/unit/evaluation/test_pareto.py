import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.evaluation.pareto import front

FEW = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25)
ANY = st.lists(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)), max_size=25)


def beaten(place, entries):
    cost, accuracy = entries[place]
    for other, (its_cost, its_accuracy) in enumerate(entries):
        if (its_cost, its_accuracy) == (cost, accuracy):
            if other < place:
                return True
        elif its_cost <= cost and its_accuracy >= accuracy:
            return True
    return False


@given(st.one_of(FEW, ANY))
@settings(deadline=None)
def test_is_the_definition(entries):
    got = front([cost for cost, _ in entries], [accuracy for _, accuracy in entries])
    assert got == [not beaten(place, entries) for place in range(len(entries))]


def test_first_of_equals_keeps_its_place():
    assert front([5, 5, 5], [70.0, 70.0, 70.0]) == [True, False, False]


def test_refuses_what_does_not_pair_up_and_what_is_no_number():
    with pytest.raises(StitchError, match="1 costs and 2 accuracies"):
        front([1], [1.0, 2.0])
    with pytest.raises(StitchError, match="Entry 1 is not a number"):
        front([1, 2], [1.0, float("nan")])
