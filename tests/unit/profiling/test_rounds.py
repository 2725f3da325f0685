"""Who is measured when."""

from itertools import pairwise

import pytest

from stitchable.profiling.prediction import percentile, tail_of
from stitchable.profiling.rounds import LEAST_ROUNDS, MOST_CALLS, Subject, run_rounds


class Bench:
    """Parts that take a known time, and the clock that knows it."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def seconds(self):
        return self.now / 1000

    def mark(self):
        return self.now

    def gaps(self, marks):
        return [after - before for before, after in pairwise(marks)]

    def subject(self, name, *milliseconds):
        def part(length):
            def call(x):
                self.now += length
                self.order.append(name)
                return x + 1

            return call

        return Subject(name, tuple(part(each) for each in milliseconds), 0)


def test_subjects_take_turns_and_each_part_gets_its_time():
    bench = Bench()
    subjects = [bench.subject("a", 10.0, 30.0), bench.subject("b", 1.0)]
    shares = list(run_rounds(subjects, bench, seconds=0))
    assert len(shares) == LEAST_ROUNDS
    assert shares[-1] == 1
    assert subjects[0].times == [[10.0, 30.0]] * 2 * LEAST_ROUNDS
    assert subjects[0].totals == [40.0] * 2 * LEAST_ROUNDS
    assert len(subjects[1].times) == MOST_CALLS * LEAST_ROUNDS
    round_ = ["a"] * 6 + ["b"] * (1 + MOST_CALLS)
    assert bench.order[6:] == round_ * LEAST_ROUNDS


def test_there_are_as_many_rounds_as_fit():
    bench = Bench()
    subject = bench.subject("a", 100.0)
    shares = list(run_rounds([subject], bench, seconds=9))
    assert len(shares) == 30  # of three calls each
    assert shares[14] == pytest.approx(0.5)


def test_tails_are_those_of_numpy():
    import numpy as np

    values = [3.0, 1.0, 9.0, 2.5, 7.0, 1.5]
    for share in (0, 0.05, 0.5, 0.95, 1):
        assert percentile(values, share) == pytest.approx(np.percentile(values, 100 * share))
    tails = [np.percentile(each, 95) / np.median(each) for each in (values, [1.0, 2.0], [5.0])]
    assert tail_of([values, [1.0, 2.0], [5.0]]) == pytest.approx(np.median(tails))
