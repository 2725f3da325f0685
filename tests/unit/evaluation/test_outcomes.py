"""The file of answers."""

import numpy as np
import pytest

from stitchable.errors import StitchError
from stitchable.evaluation.outcomes import Outcomes, read_outcomes, write_outcomes


def outcomes():
    return Outcomes(
        ("a[0:3]", "a[0:1]+b[1:4]"),
        np.array([3, 70_000, 1], np.int32),
        np.array([[3, 70_000, 0], [3, 2, -1]], np.int32),
        np.array([[0.5, 0.25, 1], [0.75, 0.125, 0]], np.float32),
    )


def test_right_and_seen_follow_from_the_answers():
    assert outcomes().right.tolist() == [[True, True, False], [True, False, False]]
    assert outcomes().seen.tolist() == [[True, True, True], [True, True, False]]
    assert outcomes().row("a[0:1]+b[1:4]") == 1


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "outcomes.safetensors"
    write_outcomes(path, outcomes())
    found = read_outcomes(path)
    assert found.stitches == outcomes().stitches
    for name in ("labels", "predicted", "confidence"):
        before, after = getattr(outcomes(), name), getattr(found, name)
        assert after.dtype == before.dtype
        assert np.array_equal(after, before)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_damage_and_unlike_shapes_are_refused(tmp_path):
    path = tmp_path / "outcomes.safetensors"
    with pytest.raises(StitchError, match="No answers at"):
        read_outcomes(path)
    write_outcomes(path, outcomes())
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(StitchError, match="does not read"):
        read_outcomes(path)
    with pytest.raises(StitchError, match="2 stitches on 3 images"):
        Outcomes(("a", "b"), *[np.zeros(3, np.int32)] * 3)
    with pytest.raises(StitchError, match="not among the 2"):
        outcomes().row("c[0:2]")
