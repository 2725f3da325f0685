"""The file of latencies and memory."""

import pytest

from stitchable.errors import StitchError
from stitchable.evaluation.device_cost import (
    Condition,
    DeviceCost,
    DeviceCosts,
    read_device_costs,
    write_device_costs,
)


def test_what_is_written_is_read(tmp_path):
    costs = [
        DeviceCosts(Condition(), {"a[0:3]": DeviceCost(1.5, 2.25, 4096)}, 0.05, {"calls": 30}),
        DeviceCosts(Condition("cuda", "compiled", "bfloat16", 64, 2), {}),
    ]
    write_device_costs(tmp_path / "profile.json", costs)
    assert read_device_costs(tmp_path / "profile.json") == costs


@pytest.mark.parametrize(
    "text", ["", "[3]", '[{"condition": {"colour": 1}, "stitches": {}}]', '[{"stitches": {}}]']
)
def test_damage_is_named(tmp_path, text):
    (tmp_path / "profile.json").write_text(text)
    with pytest.raises(StitchError, match=r"profile\.json is no profile"):
        read_device_costs(tmp_path / "profile.json")


def test_a_missing_one_says_how_to_make_it(tmp_path):
    with pytest.raises(StitchError, match="stitchable profile"):
        read_device_costs(tmp_path / "profile.json")
