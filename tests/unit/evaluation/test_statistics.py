from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.evaluation.statistics import wilson_interval


@given(
    counts=st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    confidence=st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
@settings(deadline=None)
def test_is_the_closed_formula(counts, confidence):
    correct, images = counts
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / images
    centre = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * np.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    low, high = wilson_interval(correct, images, confidence=confidence)
    np.testing.assert_allclose([low, high], [100 * (centre - half), 100 * (centre + half)], atol=1e-9)
    assert -1e-9 <= low <= 100 * share + 1e-9
    assert 100 * share - 1e-9 <= high <= 100 + 1e-9


@pytest.mark.parametrize(
    ("correct", "images", "confidence"),
    [(1, 0, 0.95), (-1, 10, 0.95), (11, 10, 0.95), (5, 10, 0.0), (5, 10, 1.0)],
)
def test_refuses(correct, images, confidence):
    with pytest.raises(StitchError):
        wilson_interval(correct, images, confidence=confidence)
