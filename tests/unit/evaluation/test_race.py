"""Racing: the evidence against a formula, and what a race may and must do."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from stitchable.errors import StitchError
from stitchable.evaluation.race import Race, log_e_value


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (3, 1), (1, 3), (12, 12), (40, 10)])
def test_evidence_is_the_averaged_likelihood_ratio(wins, losses):
    average = quad(lambda p: 2 * (2 * p) ** wins * (2 * (1 - p)) ** losses, 0.5, 1, epsabs=1e-13)[0]
    assert log_e_value(np.array(wins), np.array(wins + losses)) == pytest.approx(math.log(average), abs=1e-9)


def test_without_a_difference_its_expectation_is_one():
    """Over all outcomes of some trials of a fair coin, weighted by their probabilities."""
    for trials in (1, 7, 30):
        wins = np.arange(trials + 1)
        chances = np.array([math.comb(trials, each) for each in wins]) / 2.0**trials
        values = np.exp(log_e_value(wins, np.full(trials + 1, trials)))
        assert (chances * values).sum() == pytest.approx(1, rel=1e-9)


def show(race, right, batch):
    """Show images to those that run; gives what each saw."""
    seen, start = np.zeros(len(right), int), 0
    for stop in race.rounds():
        for number in range(start, stop):
            shown = np.isin(np.arange(len(right)), list(race.running))
            part = right[:, number * batch : (number + 1) * batch]
            race.saw(part & shown[:, None], shown)
            seen += shown * part.shape[1]
        start = stop
        race.decide()
    return seen


def test_stitches_on_the_front_are_seldom_stopped():
    """Equal accuracies: every stitch is on the front. In 200 races of 6, 5 % of 1,200 may be stopped."""
    generator, stopped = np.random.default_rng(3), 0
    for _ in range(200):
        right = generator.random((6, 600)) < 0.7
        race = Race(range(6), images=600, batch_size=20, confidence=0.95)
        show(race, right, 20)
        stopped += 6 - len(race.running)
    assert stopped <= 0.05 * 1200


def test_what_is_far_below_a_cheaper_one_is_stopped_early():
    generator = np.random.default_rng(1)
    rates = np.array([0.6, 0.75, 0.55, 0.76, 0.3])  # 2 and 4 are dominated by far
    right = generator.random((5, 4000)) < rates[:, None]
    race = Race([10, 20, 30, 40, 50], images=4000, batch_size=100)
    seen = show(race, right, 100)
    assert race.running == {0, 1, 3}
    assert seen[4] <= seen[2] < 1000
    assert set(seen[[0, 1, 3]]) == {4000}


def test_neither_a_dearer_one_nor_itself_stops_a_stitch_and_some_are_kept():
    right = np.zeros((3, 500), bool)
    right[2] = True
    race = Race([1, 2, 3], images=500, batch_size=50)
    assert set(show(race, right, 50)) == {500}
    right = right[::-1]
    race = Race([1, 2, 3], images=500, batch_size=50, keep=[1])
    seen = show(race, right, 50)
    assert seen[0] == seen[1] == 500 > seen[2]
    race = Race([2, 2], images=500, batch_size=50)  # of equal cost, either may stop the other
    assert show(race, right[:2], 50)[1] < 500


def test_decisions_come_ever_more_seldom_and_the_last_after_all_images():
    rounds = list(Race([1], images=10_000, batch_size=250).rounds())
    assert rounds[0] == 1
    assert rounds[-1] == 40
    assert all(1 <= later - earlier <= max(1, earlier // 2) for earlier, later in pairwise(rounds))
    assert list(Race([1], images=10, batch_size=250).rounds()) == [1]
    with pytest.raises(StitchError, match="confidence is 1"):
        Race([1], images=10, batch_size=2, confidence=1)
