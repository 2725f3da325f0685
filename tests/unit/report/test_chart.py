from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from stitchable.evaluation.curve import CurveRow
from stitchable.report.chart import scatter_chart

MakeRows = Callable[..., list[CurveRow]]
SVG = "{http://www.w3.org/2000/svg}"


def _draw(
    rows: list[CurveRow], single: list[CurveRow] | None = None, fitted: list[CurveRow] | None = None
) -> ET.Element:
    text = scatter_chart(
        rows,
        fitted=fitted,
        chosen=rows[0].stitch,
        single=rows if single is None else single,
        positions={"small": 0, "large": 1},
    )
    return ET.fromstring(text)


def _points(root: ET.Element, kind: str) -> list[ET.Element]:
    return [link for link in root.iter(f"{SVG}a") if kind in (link.get("class") or "").split()]


@pytest.mark.parametrize("count", [2, 26, 71])
def test_one_point_for_every_row(make_rows: MakeRows, count: int) -> None:
    rows = make_rows(count)
    root = _draw(rows)
    assert len(_points(root, "point")) == count
    assert len(_points(root, "front")) == sum(row.on_front for row in rows)
    assert len(_points(root, "anchor")) == 2
    assert {link.get("href") for link in _points(root, "point")} == {f"#s{row.index}" for row in rows}
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert sorted(title.split("\n")[0] for title in titles) == sorted(row.stitch for row in rows)


def test_cheaper_is_further_left_and_better_is_higher(make_rows: MakeRows) -> None:
    rows = make_rows(26)
    places = {}
    for link in _points(_draw(rows), "point"):
        circle = link.find(f"{SVG}circle")
        if circle is not None:
            x, y = (float((circle.get(key) or "").rstrip("%")) for key in ("cx", "cy"))
            assert 0 < x < 100
            assert 0 < y < 100
            places[int((link.get("href") or "")[2:])] = (x, y)
    stitches = [row for row in rows if row.anchor is None]
    assert sorted(stitches, key=lambda r: r.macs) == sorted(stitches, key=lambda r: places[r.index][0])
    assert sorted(stitches, key=lambda r: -r.top1) == sorted(stitches, key=lambda r: places[r.index][1])


def test_the_rest_of_a_big_space_is_one_path(make_rows: MakeRows) -> None:
    rows = make_rows(1_000, depth=40)
    single = [row for row in rows if row.on_front or row.anchor]
    root = _draw(rows, single, fitted=rows[:50])
    assert len(_points(root, "point")) == len(single)
    crowd = root.find(f".//{SVG}path[@class='crowd']")
    assert crowd is not None
    assert 0.9 * (1_000 - len(single)) < (crowd.get("d") or "").count("h0") <= 1_000 - len(single)
    fitted = root.find(f".//{SVG}path[@class='fitted']")
    assert fitted is not None
    assert (fitted.get("d") or "").count("h0") == 48  # anchors need no fit
