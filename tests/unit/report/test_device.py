"""The section on a device."""

import re

from stitchable.evaluation.device_cost import Condition, DeviceCost, DeviceCosts
from stitchable.evaluation.disagreement import latency_front, overtaken
from stitchable.report.device import device_section

POSITIONS = {"small": 0, "large": 1}


def costs_of(rows, factor=1.0, **changes):
    """Latencies that follow the MACs of two rows in three."""
    costs = {
        row.stitch: DeviceCost(factor * row.macs / 1e7 * (1 + row.index % 3), 20.0, 5_000_000) for row in rows
    }
    values = {"error": 0.034, "notes": {"check": [{}, {}]}} | changes
    return DeviceCosts(Condition(batch=4), costs, **values)


def test_the_section_marks_both_fronts(make_rows):
    rows = make_rows(60)
    costs = costs_of(rows)
    page = str(device_section(rows, [costs, costs_of(rows, 2.0)], POSITIONS))
    alone = [row for row in rows if row.anchor is None]
    lost = overtaken(rows, costs.stitches)
    on = [row for row, each in zip(rows, latency_front(rows, costs.stitches), strict=True) if each]
    assert lost
    assert page.count("<circle") == len(alone)
    assert page.count("spot lost") == sum(each.row.anchor is None for each in lost)
    assert page.count("spot front") == sum(row.anchor is None for row in on)
    assert page.count("spot anchor") == 2
    assert re.search(r'class="line" d="M([^"]*)"', page)[1].count("L") == len(on) - 1
    for each in lost[:12]:
        assert f"<td><code>{each.row.stitch}</code>" in page
    assert "off by 3.4 % (median)" in page
    assert "Median latency of 4 images, ms" in page
    assert page.count("<td>cpu, eager, float32, batch 4, 1 thread</td>") == 2


def test_nothing_is_said_where_nothing_is_known(make_rows):
    rows = make_rows(10)
    assert device_section(rows, [], POSITIONS) == ""
    assert device_section(rows, [DeviceCosts(Condition(), {"x[0:3]": DeviceCost(1, 1, 1)})], POSITIONS) == ""


def test_a_profile_of_some_stitches(make_rows):
    rows = make_rows(30)
    page = str(device_section(rows, [costs_of(rows[:12], error=None)], POSITIONS))
    assert page.count("<circle") == 10
    assert "18 stitches of the curve were not profiled" in page
    assert "not checked" in page
