"""Who is measured when."""

from itertools import pairwise

import pytest

from stitchable.profiling.prediction import p95, tail_of
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


def test_tails_are_the_median_of_how_many_medians_the_95th_percentile_is():
    values = [3.0, 1.0, 9.0, 2.5, 7.0, 1.5]  # in order 1, 1.5, 2.5, 3, 7, 9
    assert p95(values) == pytest.approx(7 + 0.75 * (9 - 7))  # place 0.95 · 5 = 4.75
    assert tail_of([values]) == pytest.approx(8.5 / 2.75)
    assert tail_of([values, [1.0, 2.0], [5.0]]) == pytest.approx(1.95 / 1.5)  # between 8.5 / 2.75 and 1
