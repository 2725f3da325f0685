from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchable.evaluation.curve import CurveRow
from stitchable.report.axis import accuracy_axis, cost_axis, round_ticks, untrained
from stitchable.report.labels import place_labels

MakeRows = Callable[[int], list[CurveRow]]


@given(st.floats(-1e6, 1e6), st.floats(1e-2, 1e6))
def test_ticks_are_few_even_and_inside(low: float, span: float) -> None:
    ticks = round_ticks(low, low + span)
    assert 2 <= len(ticks) <= 8
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    steps = [b - a for a, b in pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)


def test_axes_hold_every_row_and_take_their_unit_from_the_data(make_rows: MakeRows) -> None:
    rows = make_rows(40)
    cost, accuracy = cost_axis(rows, also=[200_000_000]), accuracy_axis(rows)
    assert cost.label == "MMACs per image"
    assert cost_axis([dataclasses.replace(row, macs=row.macs * 100) for row in rows]).label.startswith(
        "GMACs"
    )
    assert cost.high > 200_000_000
    for row in rows:
        assert 0 < cost.fraction(row.macs) < 1
        for value in (row.top1_low, row.top1_high, row.original_top1 or row.top1):
            assert 0 < accuracy.fraction(value) < 1


def test_an_original_that_knew_nothing_is_on_the_axis(make_rows: MakeRows) -> None:
    rows = [dataclasses.replace(row, original_top1=0.0) if row.anchor else row for row in make_rows(9)]
    assert accuracy_axis(rows).low <= 0


def test_ticks_are_written_alike(make_rows: MakeRows) -> None:
    rows = [dataclasses.replace(row, macs=row.macs * 30) for row in make_rows(9)]
    for axis in (cost_axis(rows), accuracy_axis(rows)):
        assert len({len(text.partition(".")[2]) for _, text in axis.ticks}) == 1
        assert all(not text.endswith(".") for _, text in axis.ticks)


def test_hopeless_untrained_rows_do_not_flatten_the_curve(make_rows: MakeRows) -> None:
    rows = make_rows(40)
    fitted = [dataclasses.replace(row, top1=10.0 if row.index % 2 else row.top1 - 0.5) for row in rows]
    axis = accuracy_axis(rows, fitted=fitted)
    plain = accuracy_axis(rows)
    assert axis.high - axis.low < 2.5 * (plain.high - plain.low)
    shown, hidden = untrained(axis, fitted)
    assert (len(shown), hidden) == (19, 19)  # the two anchors need no fit


def test_a_single_row_has_axes(make_rows: MakeRows) -> None:
    rows = make_rows(2)[:1]
    flat = [dataclasses.replace(row, macs=0, top1=100.0, top1_low=100.0, top1_high=100.0) for row in rows]
    for axis in (cost_axis(rows), accuracy_axis(rows), cost_axis(flat), accuracy_axis(flat)):
        assert axis.low < axis.high
        assert axis.ticks


def test_names_of_close_markers_do_not_overlap() -> None:
    markers = [(150.0, 100.0, "resnet20"), (160.0, 104.0, "resnet56"), (155.0, 90.0, "resnet110")]
    labels = place_labels(markers, obstacles=[], size=(400, 240), font=12)
    boxes = []
    for (x, y, name), label in zip(markers, labels, strict=True):
        width = 12 * 0.58 * len(name)
        left = x + label.dx - {"start": 0.0, "middle": width / 2, "end": width}[label.align]
        boxes.append((left, y + label.dy - 9, left + width, y + label.dy + 2))
    for i, a in enumerate(boxes):
        assert a[0] >= 0
        assert a[2] <= 400
        for b in boxes[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_a_name_stays_inside_the_plot() -> None:
    (label,) = place_labels([(395.0, 5.0, "deit_base")], obstacles=[], size=(400, 240))
    assert label.align == "end"
    assert label.dy > 0
