import numpy as np
import pytest
from scipy.stats import binomtest

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes
from stitchable.evaluation.paired import compare
from stitchable.evaluation.statistics import wilson_interval
from stitchable.menu.evidence import Evidence


def measured(right, seen=None):
    """Outcomes, and the rows that a sweep would write of them."""
    right = np.array(right, dtype=bool)
    seen = np.ones_like(right) if seen is None else np.array(seen, dtype=bool)
    labels = np.arange(right.shape[1], dtype=np.int32) % 7
    predicted = np.where(seen, np.where(right, labels, labels + 1), NOT_SEEN).astype(np.int32)
    names = tuple(f"net{at}[0:9]" for at in range(len(right)))
    rows = []
    for at, name in enumerate(names):
        images, correct = int(seen[at].sum()), int((right[at] & seen[at]).sum())
        low, high = wilson_interval(correct, images)
        top1 = 100 * correct / images
        rows.append(CurveRow(at, name, 10 + at, 5, top1, low, high, 0.5, images, False))
    confidence = np.ones(right.shape, dtype=np.float32)
    return Outcomes(names, labels, predicted, confidence), rows


@pytest.fixture
def answers():
    draw = np.random.default_rng(0)
    right = draw.random((6, 400)) < np.linspace(0.6, 0.85, 6)[:, None]
    seen = np.ones_like(right)
    seen[2, 300:] = False
    return measured(right, seen)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_many_at_once_are_each_mcnemar_s_test(answers, confidence):
    outcomes, rows = answers
    evidence = Evidence(rows, outcomes, confidence=confidence)
    assert evidence.basis == "paired"
    for it, than in enumerate(rows):
        expected = []
        for at in range(len(rows)):
            both = outcomes.seen[at] & outcomes.seen[it]
            first = int((both & outcomes.right[at] & ~outcomes.right[it]).sum())
            second = int((both & ~outcomes.right[at] & outcomes.right[it]).sum())
            p_value = binomtest(first, first + second).pvalue if first + second else 1.0
            expected.append(first > second and p_value < 1 - confidence)
        assert evidence.surely_better(rows, than).tolist() == expected
        for row, better in zip(rows, expected, strict=True):
            found = evidence.compare(row, than)
            assert (found.surely and found.points > 0) == better
            assert found.images == (300 if 2 in (row.index, it) else 400)
            one = compare(outcomes, than.stitch, row.stitch)
            assert (found.points, found.p_value) == pytest.approx((one.difference, one.p_value))
            if confidence == 0.95:
                assert (found.low, found.high) == (one.low, one.high)


def test_without_answers_intervals_must_not_overlap(answers):
    _, rows = answers
    evidence = Evidence(rows, None)
    assert (evidence.basis, evidence.notes) == ("intervals", ())
    for than in rows:
        expected = [row.top1_low > than.top1_high for row in rows]
        assert evidence.surely_better(rows, than).tolist() == expected
        for row in rows:
            apart = row.top1_low > than.top1_high or row.top1_high < than.top1_low
            found = evidence.compare(row, than)
            assert found.surely == apart
            assert found.points == row.top1 - than.top1
            assert found.p_value is None


def test_answers_of_another_sweep_are_not_used(answers):
    outcomes, rows = answers
    swapped = Outcomes(outcomes.stitches[::-1], outcomes.labels, outcomes.predicted, outcomes.confidence)
    part = Outcomes(outcomes.stitches[1:], outcomes.labels, outcomes.predicted[1:], outcomes.confidence[1:])
    for other in (swapped, part):
        evidence = Evidence(rows, other)
        assert evidence.basis == "intervals"
        assert "are not those of this curve" in evidence.notes[0]
    assert Evidence(rows[1:], part).basis == "paired"


def test_refuses_a_confidence_that_is_none():
    with pytest.raises(StitchError, match=r"confidence is 95"):
        Evidence([], None, confidence=95)
