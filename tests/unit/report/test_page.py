from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.report.page import write_report
from stitchable.report.summary import default_choice, summarize

MakeRows = Callable[..., list[CurveRow]]
VOID = {"meta", "br", "input", "wbr", "link", "img"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def having(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return [
            have
            for name, have in self.tags
            if name == tag and all(value in (have.get(key) or "").split() for key, value in wanted.items())
        ]


def _write(path: Path, curve: list[CurveRow], **changes: Any) -> tuple[str, Page]:
    values: dict[str, Any] = {
        "title": "Two anchors",
        "rows": curve,
        "fitted": None,
        "depths": {"small": 12, "large": 12},
        "facts": {"Data": "CIFAR-10 test", "Images": "10,000"},
        "macs_note": "Multiply-accumulates of convolutions and linear layers.",
    }
    write_report(path, **(values | changes))
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_holds_every_stitch_and_stays_small(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = make_rows(71)
    text, page = _write(tmp_path / "report.html", rows, fitted=rows)
    assert len(text.encode()) < 100_000
    for row in rows:
        assert row.stitch in page.text
        assert f"{row.top1:.2f}" in page.text
    assert len(page.having("a", class_="point")) == 71
    assert len(page.having("a", class_="front")) == sum(row.on_front for row in rows)
    assert len([tag for tag in page.having("tr") if (tag.get("id") or "").startswith("s")]) == 71
    assert len(page.having("tr", class_="front")) == sum(row.on_front for row in rows)
    assert "Multiply-accumulates of convolutions and linear layers." in page.text
    assert "left out" not in page.text
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]


def test_nothing_is_fetched(tmp_path: Path, make_rows: MakeRows) -> None:
    text, page = _write(tmp_path / "report.html", make_rows(26))
    assert set(re.findall(r"https?://[^\"'\s)]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|<iframe|<object", text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "img")
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    targets = {attributes.get("id") for _, attributes in page.tags}
    assert {(tag["href"] or "")[1:] for tag in page.having("a")} <= targets


def test_hostile_text_is_text(tmp_path: Path, make_rows: MakeRows) -> None:
    evil = "</title><script>alert('x')</script> & \"q\" {{ 1 + 1 }}"
    text, page = _write(tmp_path / "r.html", make_rows(5), title=evil, facts={evil: evil}, macs_note=evil)
    assert "<script>alert" not in text
    assert page.text.count(evil) == 5  # title, heading, the fact's two sides, and the note


def test_the_chosen_path_is_there_without_a_script(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = make_rows(30)
    text, page = _write(tmp_path / "a.html", rows, chosen="small[0:4]+large[1:12]")
    assert len(page.having("rect", class_="on")) == 4 + 11 + 2
    assert len(page.having("path", class_="joint")) == 1
    text, page = _write(tmp_path / "b.html", rows)
    chosen = default_choice(rows)
    front = sorted((row for row in rows if row.on_front), key=lambda row: row.macs)
    assert chosen == front[(len(front) - 1) // 2].stitch
    assert f"<code>{chosen}</code> <span>" in text


def test_the_script_is_given_every_joint(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = make_rows(40)
    text, _ = _write(tmp_path / "report.html", rows)
    found = re.search(r'<script type="application/json" id="joints">(.*?)</script>', text, re.S)
    assert found
    joints = json.loads(found[1])
    for row in rows:
        if row.anchor is None:
            start, stop = re.findall(r"\d+(?=\]\+)|(?<=large\[)\d+", row.stitch)
            assert joints[f"small:{start}+large:{stop}"].startswith("M")


def test_a_big_space_lists_what_matters_and_counts_the_rest(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = make_rows(5_000, depth=80)
    listed = [row for row in rows if row.on_front or row.anchor is not None]
    text, page = _write(tmp_path / "report.html", rows, depths={"small": 80, "large": 80})
    assert f"{5_000 - len(listed):,} of 5,000 stitches are left out" in page.text
    assert "curve.jsonl" in page.text
    assert len(page.having("a", class_="point")) == len(listed)
    assert len(text.encode()) < 200_000


def test_the_summary_says_how_the_anchors_moved(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = make_rows(26)
    summary = summarize(rows)
    assert (summary.stitches, summary.front) == (26, sum(row.on_front for row in rows))
    assert summary.cheapest.macs == min(row.macs for row in rows)
    assert [move.change for move in summary.moves] == pytest.approx([-0.1, -0.1])
    _, page = _write(tmp_path / "report.html", rows)
    small = rows[0]
    assert f"{small.original_top1:.2f} % to {small.top1:.2f} % (−0.10 points)" in " ".join(page.text.split())


def test_a_curve_without_anchors_or_facts_is_a_page(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = [row for row in make_rows(6) if row.anchor is None]
    _, page = _write(tmp_path / "report.html", rows, facts={})
    assert len(page.having("a", class_="point")) == 4
    assert "Joint training moved" not in page.text


def test_errors_leave_no_file(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = make_rows(5)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"rows": []}, "without rows"),
        ({"chosen": "small[0:99]"}, "is not on the curve"),
        ({"depths": {"small": 12}}, "no depth is given for 'large'"),
        ({"depths": {"small": 12, "large": 3}}, "large has 3 blocks"),
    ]
    for changes, message in cases:
        with pytest.raises(StitchError, match=message):
            _write(tmp_path / "report.html", rows, **changes)
    assert list(tmp_path.iterdir()) == []


def test_neither_torch_nor_matplotlib_is_loaded() -> None:
    code = (
        "import sys, stitchable.report.page, stitchable.report.figure;"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
