"""The panels' numbers, worked out by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stitchable.evaluation.agreement import Agreement
from stitchable.evaluation.curve import CurveRow
from stitchable.report.certainty import certainty, heat_map, spread_front
from stitchable.report.page import write_report

MakeRows = Callable[..., list[CurveRow]]


def measured(make_rows: MakeRows) -> list[CurveRow]:
    """Three rows on the front, two steps: one surely a gain, one perhaps."""
    rows = make_rows(6)
    front = sorted(rows, key=lambda row: row.macs)[:3]
    names = [row.stitch for row in front]
    gains = {
        names[1]: {"gain_over": names[0], "gain": 1.0, "gain_low": 0.5, "gain_high": 1.5, "gain_p": 0.0004},
        names[2]: {"gain_over": names[1], "gain": 0.5, "gain_low": -0.5, "gain_high": 1.4, "gain_p": 0.31},
    }
    return [
        replace(
            row,
            on_front=row.stitch in names,
            front_probability=0.96 if row.stitch in names else 0.1 * row.index,
            **{"churn": 7.25, "negative_flips": 2.5, **gains[row.stitch]} if row.stitch in gains else {},
        )
        for row in rows
    ]


def test_steps_and_where_they_are_drawn(make_rows: MakeRows) -> None:
    rows = measured(make_rows)
    found = certainty(rows)
    assert found
    assert (len(found.steps), found.sure) == (2, 1)
    assert [step.verdict for step in found.steps] == ["more accurate", "may be equal"]
    # From −0.5 to 1.5 with 0.06 of that length on either side.
    assert (found.bottom, found.top) == pytest.approx((-0.62, 1.62))
    assert found.zero == pytest.approx(100 * 0.62 / 2.24)
    first = found.steps[0]
    assert (first.low, first.middle, first.high) == pytest.approx(
        tuple(100 * (value + 0.62) / 2.24 for value in (0.5, 1.0, 1.5))
    )
    front = sorted((row for row in rows if row.on_front), key=lambda row: row.macs)
    assert first.dearer == pytest.approx(100 * (front[1].macs / front[0].macs - 1))
    off = [row for row in rows if not row.on_front and 0.1 * row.index >= 0.2]
    assert list(found.likely) == sorted(off, key=lambda row: -row.index)


def test_curves_without_statistics_have_no_panel(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = make_rows(6)
    assert certainty(rows) is None
    depths = {"small": 12, "large": 12}
    options = {"title": "t", "fitted": None, "depths": depths, "facts": {}, "macs_note": ""}
    write_report(tmp_path / "r.html", rows=rows, **options)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "How sure" not in text
    assert "Calibration" not in text
    write_report(tmp_path / "r.html", rows=measured(make_rows), **options)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    read = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    assert "1 of 2 steps is larger than chance" in read
    assert "+1.00 +0.50 to +1.50" in read
    assert "&lt; 0.001 more accurate 7.2 2.5" in read
    assert "0.310 may be equal" in read
    assert "front 96 %" in read


def test_the_worst_class_has_its_name_where_one_is_known(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = [
        replace(row, worst_class=number % 2, worst_class_top1=50.0)
        for number, row in enumerate(measured(make_rows))
    ]
    options = {
        "title": "t",
        "fitted": None,
        "depths": {"small": 12, "large": 12},
        "facts": {},
        "macs_note": "",
    }
    for classes, told, not_told in (
        ((), ("class 0", "class 1"), ("cat",)),
        (("cat", "<dog>"), ("cat", "&lt;dog&gt;"), ("class 0",)),
    ):
        write_report(tmp_path / "r.html", rows=rows, classes=classes, **options)
        text = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert all(f"<small>{word}</small>" in text for word in told)
        assert not any(f"<small>{word}</small>" in text for word in not_told)


def test_a_worse_neighbour_is_called_so(make_rows: MakeRows) -> None:
    rows = [
        replace(row, gain=-1.0, gain_low=-1.5, gain_high=-0.5) if row.gain_p == 0.0004 else row
        for row in measured(make_rows)
    ]
    found = certainty(rows)
    assert found
    assert (found.steps[0].verdict, found.sure) == ("less accurate", 0)
    rows = [replace(row, gain_p=None) for row in measured(make_rows)]
    lacking = certainty(rows)
    assert lacking
    assert lacking.steps == ()
    assert found.bottom < -1.5


def test_the_heat_map_goes_from_least_to_most() -> None:
    churn = np.array([[0, 4, 6], [4, 0, math.nan], [6, math.nan, 0]])
    found = heat_map(Agreement(("a", "b", "c"), churn, churn / 2))
    assert [name for name, _ in found] == ["a", "b", "c"]
    cells = [[cell and (cell.churn, cell.negative_flips, cell.shade) for cell in row] for _, row in found]
    assert cells == [[None, (4, 2, 10), (6, 3, 100)], [(4, 2, 10), None, None], [(6, 3, 100), None, None]]
    alone = heat_map(Agreement(("a", "b"), np.zeros((2, 2)), np.zeros((2, 2))))
    assert [cell and cell.shade for _, row in alone for cell in row] == [None, 10, 10, None]


def test_a_long_front_is_thinned_evenly(make_rows: MakeRows) -> None:
    rows = [replace(row, on_front=True) for row in make_rows(34)]
    ordered = [row.stitch for row in sorted(rows, key=lambda row: row.macs)]
    assert spread_front(rows) == [ordered[3 * place] for place in range(12)]
    assert spread_front(rows[:12]) == [s for s in ordered if s in {row.stitch for row in rows[:12]}]
