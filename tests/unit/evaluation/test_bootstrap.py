"""Oracle: the samples drawn in Python, and the front of each by comparing all pairs."""

import itertools

import numpy as np
import pytest

from stitchable.errors import StitchError
from stitchable.evaluation import bootstrap
from stitchable.evaluation.bootstrap import front_probability
from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes
from stitchable.evaluation.pareto import front


def answers(right, seen=None):
    right = np.asarray(right, bool)
    seen = np.ones(right.shape, bool) if seen is None else np.asarray(seen, bool)
    predicted = np.where(seen, np.where(right, 1, 2), NOT_SEEN).astype(np.int32)
    names = tuple(f"s[0:{row + 1}]" for row in range(len(right)))
    return Outcomes(names, np.ones(right.shape[1], np.int32), predicted, seen.astype(np.float32))


def on_front(macs, right, seen, weights):
    """By the definition, pair by pair, on the images that a stitch saw and with those that saw them too."""
    found = []
    for i in range(len(macs)):
        beaten = not seen[i].any()
        for j in range(len(macs)):
            shared = weights * (seen[i] & seen[j])
            if i == j or shared.sum() == 0 or (seen[i] & ~seen[j]).any():
                continue
            mine, theirs = (shared * right[i]).sum(), (shared * right[j]).sum()
            as_good = macs[j] <= macs[i] and theirs >= mine
            same = macs[j] == macs[i] and theirs == mine
            beaten |= (as_good and not same) or (same and j < i)
        found.append(not beaten)
    return found


def by_hand(macs, outcomes, draws, seed):
    images = outcomes.predicted.shape[1]
    generator = np.random.default_rng(seed)
    total = np.zeros(len(macs))
    for _ in range(draws):
        weights = np.bincount(generator.integers(0, images, images), minlength=images)
        total += on_front(macs, outcomes.right, outcomes.seen, weights)
    return total / draws


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_share_of_samples(seed):
    generator = np.random.default_rng(seed)
    macs = generator.integers(1, 5, 8)  # with equal costs, and with eleven images equal accuracies
    outcomes = answers(generator.random((8, 11)) < 0.7)
    wanted = by_hand(macs, outcomes, 60, seed)
    assert front_probability(macs, outcomes, draws=60, seed=seed) == pytest.approx(wanted, abs=1e-12)
    assert set(wanted) - {0.0, 1.0}


@pytest.mark.parametrize("seed", range(3))
def test_stitches_that_stopped_early_are_compared_on_what_they_saw(seed):
    generator = np.random.default_rng(seed)
    macs = generator.integers(1, 5, 9)
    last = generator.choice([0, 4, 8, 12], 9)
    seen = np.arange(12) < last[:, None]
    if seed == 2:
        seen = generator.random((9, 12)) < 0.6  # whichever images, not only the first
    outcomes = answers((generator.random((9, 12)) < 0.7) & seen, seen)
    wanted = by_hand(macs, outcomes, 60, seed)
    assert front_probability(macs, outcomes, draws=60, seed=seed) == pytest.approx(wanted, abs=1e-12)
    assert set(wanted) - {0.0, 1.0}


def test_the_front_is_that_of_pareto():
    """With all images drawn once the definition above is the one that the curve uses."""
    generator = np.random.default_rng(5)
    for _ in range(20):
        macs, right = generator.integers(1, 4, 7), generator.random((7, 5)) < 0.6
        assert on_front(macs, right, np.ones((7, 5), bool), np.ones(5)) == front(macs, right.sum(1))


def test_all_samples_of_three_images():
    """The expectation over the 27 samples is known."""
    right = np.array([[1, 0, 1], [1, 1, 0]], bool)
    samples = [np.bincount(each, minlength=3) for each in itertools.product(range(3), repeat=3)]
    exact = np.mean([on_front([1, 2], right, np.ones((2, 3), bool), each) for each in samples], axis=0)
    assert exact == pytest.approx([1, 10 / 27])  # the dearer: image 1 came more often than image 2
    found = front_probability([1, 2], answers(right), draws=20_000)
    assert found == pytest.approx(exact, abs=4 * 0.5 / 20_000**0.5)


def test_the_size_of_the_parts_changes_nothing(monkeypatch):
    generator = np.random.default_rng(1)
    macs, outcomes = np.arange(6), answers(generator.random((6, 40)) < 0.8)
    whole = front_probability(macs, outcomes, draws=50)
    monkeypatch.setattr(bootstrap, "_CHUNK_BYTES", 8 * 40 * 7)
    assert (front_probability(macs, outcomes, draws=50) == whole).all()
    assert (front_probability(macs, outcomes, draws=50, seed=1) != whole).any()


def test_what_makes_no_front_is_refused():
    outcomes = answers([[1, 0], [0, 1]])
    with pytest.raises(StitchError, match="3 costs and 2 stitches"):
        front_probability([1, 2, 3], outcomes)
    with pytest.raises(StitchError, match="not a number"):
        front_probability([1, float("nan")], outcomes)
    with pytest.raises(StitchError, match="0 draws of 2 images"):
        front_probability([1, 2], outcomes, draws=0)
    with pytest.raises(StitchError, match="1000 draws of 0 images"):
        front_probability([1], answers(np.zeros((1, 0))))
