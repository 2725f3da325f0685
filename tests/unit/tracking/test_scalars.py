import pytest

from stitchable.tracking.scalars import Scalars, guard_point, summary_values
from stitchable.training.anchor_drop import GuardRecord
from stitchable.training.loop import TrainSummary


def test_a_point_is_the_mean_over_its_steps(record):
    scalars = Scalars(every=3)
    assert scalars.add(record(0)) == {}
    assert scalars.add(record(1)) == {}
    first, _, _, second = (scalars.add(record(step)) for step in (2, 3, 4, 5))
    assert (first["loss"], second["loss"]) == (1, 4)
    assert (first["terms/cross_entropy"], second["terms/cross_entropy"]) == (2, 8)
    assert (second["lr/anchors"], second["lr/layers"], second["epoch"]) == (0.1, 0.2, 1)
    assert scalars.rest() == {}


def test_images_per_second_are_those_between_two_points(record):
    """The first step has no beginning: what came before it may have been a night's pause."""
    scalars = Scalars(every=2)
    points = [scalars.add(record(step)) for step in range(7, 10)]
    assert "images_per_second" not in points[0]
    assert points[2]["images_per_second"] == pytest.approx(20)
    assert scalars.rest() == {}


def test_the_steps_after_the_last_point_are_not_lost(record):
    scalars = Scalars(every=100)
    scalars.add(record(1))
    scalars.add(record(2))
    assert scalars.rest()["loss"] == 1.5
    assert scalars.rest() == {}
    assert Scalars(every=1).rest() == {}


def test_stitches_are_grouped_by_their_path_of_anchors(record):
    scalars = Scalars(every=2)
    scalars.add(record(0, "small[0:1]+big[1:3]", "small[0:3]", losses=(1.0, 5.0)))
    point = scalars.add(record(1, "small[0:2]+big[2:3]", losses=(2.0,)))
    assert point["stitch_loss/small_to_big"] == 1.5
    assert point["anchor_loss/small"] == 5
    assert not [name for name in point if "[" in name]


def test_what_the_guard_measured_and_what_is_known_in_the_end():
    record = GuardRecord(4, "small", 90.0, 90.5, 0.5, 0, 200)
    assert guard_point(record) == {"anchor_top1/small": 90.0, "anchor_drop/small": 0.5}
    values = summary_values(TrainSummary(8, 5.0, {"a[0:1]": 6, "b[0:1]": 2}, 60, 80, {"small": 0.5}))
    assert values["macs_saved_share"] == 0.25
    assert (values["fewest_steps_of_a_stitch"], values["most_steps_of_a_stitch"]) == (2, 6)
    assert values["anchor_drop/small"] == 0.5
