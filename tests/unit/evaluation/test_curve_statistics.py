"""Each number against its formula, written out."""

import math
from dataclasses import replace

import numpy as np
import pytest

from stitchable.errors import StitchError
from stitchable.evaluation.agreement import agreement
from stitchable.evaluation.bootstrap import front_probability
from stitchable.evaluation.confidence import calibration_error, overconfidence
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.curve_statistics import with_statistics
from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes
from stitchable.evaluation.paired import compare
from stitchable.evaluation.worst_class import worst_class

IMAGES = 120


@pytest.fixture
def outcomes():
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 4, IMAGES)
    wrong = generator.random((4, IMAGES)) < np.array([[0.4], [0.35], [0.2], [0.1]])
    predicted = np.where(wrong, generator.integers(0, 4, (4, IMAGES)), labels)
    confidence = generator.uniform(0.3, 1, (4, IMAGES))
    names = ("a[0:3]", "a[0:2]+b[2:3]", "a[0:1]+b[1:3]", "b[0:3]")
    return Outcomes(names, labels.astype(np.int32), predicted.astype(np.int32), confidence.astype(np.float32))


def rows_of(outcomes, on_front=(True, False, True, True)):
    top1 = 100 * outcomes.right.sum(1) / np.maximum(outcomes.seen.sum(1), 1)
    return [
        CurveRow(place, name, 1000 * (place + 1), 10, top1[place], 0, 100, 0.5, IMAGES, on_front[place])
        for place, name in enumerate(outcomes.stitches)
    ]


def test_calibration_error_is_guos(outcomes):
    confidence, right = outcomes.confidence[0], outcomes.right[0]
    total = 0.0
    for m in range(1, 16):
        held = [i for i in range(IMAGES) if (m - 1) / 15 < float(confidence[i]) <= m / 15]
        if held:
            accuracy = sum(bool(right[i]) for i in held) / len(held)
            mean = sum(float(confidence[i]) for i in held) / len(held)
            total += len(held) / IMAGES * abs(accuracy - mean)
    assert calibration_error(confidence, right) == pytest.approx(100 * total)
    one = calibration_error(confidence, right, bins=1)
    assert one == pytest.approx(abs(overconfidence(confidence, right)))
    assert one < 100 * total


def test_calibration_at_the_edges_of_bins():
    right = np.array([True, False, True, False])
    assert calibration_error(np.array([1.0, 1.0, 0.0, 0.0]), right, bins=2) == pytest.approx(50)
    # 1/2 belongs to the lower of two bins: there 1/2 and 1/4 are right half of the time.
    found = calibration_error(np.array([0.5, 0.25, 0.75, 0.75]), right, bins=2)
    assert found == pytest.approx((2 * 12.5 + 2 * 25) / 4)
    assert overconfidence(np.full(4, 0.25), right) == -25


def test_what_is_no_confidence_is_refused():
    two = np.array([True, False])
    for confidence, right, message in [
        (np.ones(3), two, "do not pair up"),
        (np.ones(0), two[:0], "at least one image"),
        (np.array([0.5, 1.5]), two, "no probability"),
    ]:
        with pytest.raises(StitchError, match=message):
            calibration_error(confidence, right)
    with pytest.raises(StitchError, match="no probability"):
        overconfidence(np.array([0.5, np.nan]), two)
    with pytest.raises(StitchError, match="0 bins"):
        calibration_error(np.ones(2), two, bins=0)


def test_the_worst_class_is_one_with_enough_images():
    labels = np.repeat([7, 3, 5, 9], [20, 40, 3, 20])
    right = np.concatenate([np.arange(20) < 15, np.arange(40) < 30, np.zeros(3), np.arange(20) < 19])
    found = worst_class(labels, right.astype(bool))
    assert (found.label, found.top1, found.images) == (3, 75.0, 40)  # as bad as class 7, on more images
    assert worst_class(labels, right.astype(bool), fewest_images=3).label == 5
    assert worst_class(labels, right.astype(bool), fewest_images=41) is None
    assert worst_class(labels[:0], right[:0].astype(bool)) is None
    with pytest.raises(StitchError, match="do not pair up"):
        worst_class(labels, right[:3].astype(bool))
    with pytest.raises(StitchError, match="fewest_images is 0"):
        worst_class(labels, right.astype(bool), fewest_images=0)


def test_agreement_counts_image_by_image(outcomes):
    predicted = outcomes.predicted.copy()
    predicted[1, 50:] = NOT_SEEN
    predicted[2, :50] = NOT_SEEN
    outcomes = replace(outcomes, predicted=predicted)
    names = (*outcomes.stitches[1:], outcomes.stitches[0])
    found = agreement(outcomes, names)
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            a, b = (predicted[outcomes.row(name)] for name in (one, other))
            both = [i for i in range(IMAGES) if a[i] != NOT_SEEN and b[i] != NOT_SEEN]
            cell = found.churn[row, column], found.negative_flips[row, column]
            if not both:
                assert np.isnan(cell).all()
                continue
            changed = sum(a[i] != b[i] for i in both)
            flipped = sum(a[i] == outcomes.labels[i] != b[i] for i in both)
            assert cell == pytest.approx((100 * changed / len(both), 100 * flipped / len(both)))
    assert np.isnan(found.churn).sum() == 2
    assert agreement(outcomes).stitches == outcomes.stitches
    with pytest.raises(StitchError, match="not among the 4"):
        agreement(outcomes, ["c[0:3]"])


def test_rows_get_what_the_functions_give(outcomes):
    rows = rows_of(outcomes)
    backwards = replace(  # another order than the rows', and one stitch more
        outcomes,
        stitches=("b[0:9]", *outcomes.stitches[::-1]),
        predicted=np.concatenate([outcomes.predicted[:1], outcomes.predicted[::-1]]),
        confidence=np.concatenate([outcomes.confidence[:1], outcomes.confidence[::-1]]),
    )
    found = with_statistics(rows, backwards, draws=200, seed=4)
    sure = front_probability([row.macs for row in rows], outcomes, draws=200, seed=4)
    for place, (row, before) in enumerate(zip(found, rows, strict=True)):
        confidence, right = outcomes.confidence[place], outcomes.right[place]
        worst = worst_class(outcomes.labels, right)
        assert row.front_probability == sure[place]
        assert row.calibration_error == calibration_error(confidence, right)
        assert row.overconfidence == overconfidence(confidence, right)
        assert (row.worst_class, row.worst_class_top1, row.worst_class_images) == (
            worst.label,
            worst.top1,
            worst.images,
        )
        assert (row.stitch, row.top1, row.on_front) == (before.stitch, before.top1, before.on_front)
    assert [row.gain_over for row in found] == [None, None, rows[0].stitch, rows[2].stitch]
    assert found[3].gain == pytest.approx(rows[3].top1 - rows[2].top1)
    pair = compare(outcomes, rows[2].stitch, rows[3].stitch)
    assert (found[3].gain_low, found[3].gain_high, found[3].gain_p) == (pair.low, pair.high, pair.p_value)
    both = agreement(outcomes, [rows[2].stitch, rows[3].stitch])
    assert (found[3].churn, found[3].negative_flips) == (both.churn[0, 1], both.negative_flips[0, 1])
    assert with_statistics([], outcomes) == []


def test_rows_of_stitches_that_stopped_early(outcomes):
    predicted = outcomes.predicted.copy()
    predicted[1, 30:] = NOT_SEEN
    predicted[2] = NOT_SEEN
    confidence = outcomes.confidence.copy()
    confidence[3, 0] = np.nan  # of logits that are not numbers
    outcomes = replace(outcomes, predicted=predicted, confidence=confidence)
    found = with_statistics(rows_of(outcomes), outcomes, draws=20)
    assert found[3].calibration_error is found[3].overconfidence is None
    assert found[3].worst_class is not None
    assert found[1].calibration_error == pytest.approx(
        calibration_error(outcomes.confidence[1, :30], outcomes.right[1, :30])
    )
    assert found[2].front_probability == 0
    assert found[2].calibration_error is found[2].worst_class is found[2].gain is found[3].gain is None
    assert all(not isinstance(v, float) or math.isfinite(v) for row in found for v in row.to_dict().values())
    with pytest.raises(StitchError, match="not among the 4"):
        with_statistics([replace(found[0], stitch="z[0:3]")], outcomes)
