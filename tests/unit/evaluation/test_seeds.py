"""Means and intervals against scipy's; refusals of what is not alike."""

from dataclasses import replace

import pytest
from scipy import stats

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.seeds import across_seeds, pooled_deviation

TOP1 = {"a[0:3]": (90.1, 90.4, 89.8), "a[0:1]+b[1:3]": (91.9, 90.3, 91.2), "b[0:3]": (91.0, 91.1, 91.6)}


def curve(seed):
    rows = [
        CurveRow(place, name, 100 * (place + 1), 10, top1[seed], 0, 100, 0.4, 500, place < 2)
        for place, (name, top1) in enumerate(TOP1.items())
    ]
    return [replace(rows[0], anchor="a"), rows[1], replace(rows[2], anchor="b", on_front=seed > 0)]


def test_mean_deviation_and_students_interval():
    curves = [curve(0), curve(1)[::-1], curve(2)]
    found = across_seeds(curves)
    assert [row.stitch for row in found] == list(TOP1)
    for row in found:
        values = TOP1[row.stitch]
        assert (row.seeds, row.top1) == (3, pytest.approx(sum(values) / 3))
        interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (row.top1_low, row.top1_high) == pytest.approx((interval.low, interval.high))
        assert row.deviation == pytest.approx(stats.tstd(values))
    assert [row.on_front for row in found] == [3, 3, 2]
    assert [row.on_mean_front for row in found] == [True, True, True]  # means 90.1, 91.13, 91.23
    assert [row.anchor for row in found] == ["a", None, "b"]
    wide = across_seeds(curves, confidence=0.99)
    assert wide[0].top1_low < found[0].top1_low
    rms = (sum(stats.tvar(values) for values in TOP1.values()) / 3) ** 0.5
    assert pooled_deviation(found) == pytest.approx(rms)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (curve(1)[:2], r"only one of them has b\[0:3\]"),
        ([*curve(1)[:2], replace(curve(1)[2], macs=301)], r"in the macs of b\[0:3\]: 300 and 301"),
        ([replace(row, images=50) for row in curve(1)], r"in the images of a\[0:3\]: 500 and 50"),
    ],
)
def test_other_spaces_and_images_are_refused(other, message):
    with pytest.raises(StitchError, match=f"Curves 1 and 3 .*{message}"):
        across_seeds([curve(0), curve(1), other])


def test_a_race_is_refused_even_where_all_seeds_stopped_alike():
    raced = [[*curve(seed)[:2], replace(curve(seed)[2], images=50)] for seed in range(2)]
    with pytest.raises(
        StitchError, match=r"^Curve 1 is of a race, which stopped 1 of 3 stitches before .* 500"
    ):
        across_seeds(raced)


def test_one_curve_is_refused():
    with pytest.raises(StitchError, match="1 curve shows no spread"):
        across_seeds([curve(0)])
    with pytest.raises(StitchError, match="between 0 and 1"):
        across_seeds([curve(0), curve(1)], confidence=95)
