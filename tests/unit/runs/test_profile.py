"""Profiles of a run: what is written, added, replaced and shown."""

import pytest

from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve
from stitchable.evaluation.device_cost import Condition, read_device_costs
from stitchable.runs.folder import RunFolder
from stitchable.runs.profile import profile_run
from stitchable.runs.report import report_run


def test_conditions_are_added_and_replaced(measured):
    run = RunFolder(measured)
    first, second = Condition(), Condition(batch=2)
    asked = []
    found = profile_run(run, [first, second], check=1, seconds=0, on_condition=asked.append)
    assert asked == [each.condition for each in found] == [first, second]
    assert [each.condition for each in read_device_costs(run.profile)] == [second, first]
    assert set(found[0].stitches) == {row.stitch for row in read_curve(run.curve_fitted)}
    (again,) = profile_run(run, [first], check=0, seconds=0)
    assert read_device_costs(run.profile) == [again, found[1]]
    assert again.error is None
    page = report_run(run).read_text(encoding="utf-8")
    assert page.count("Cost on this device") == 1
    assert "cpu, eager, float32, batch 2, 1 thread" in page


def test_what_was_finished_survives(fitted):
    run = RunFolder(fitted)

    def stop(condition):
        if condition.batch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        profile_run(run, [Condition(), Condition(batch=2)], check=0, seconds=0, on_condition=stop)
    assert [each.condition for each in read_device_costs(run.profile)] == [Condition()]
    run.profile.write_text("no JSON")
    with pytest.raises(StitchError, match=r"profile\.json is no profile"):
        profile_run(run, [Condition()], check=0, seconds=0)
