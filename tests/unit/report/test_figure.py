from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.report.figure import draw_curve

MakeRows = Callable[[int], list[CurveRow]]


def test_svg_and_png_are_written_and_valid(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = make_rows(26)
    svg, png = tmp_path / "curve.svg", tmp_path / "curve.png"
    draw_curve(rows, title="A & B cost $5 <now> $", path=[svg, png], fitted=rows, budget=83_000_000)
    assert ET.parse(svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert b"<dc:date>" not in svg.read_bytes()
    with Image.open(png) as image:
        image.verify()
        assert image.size == (1440, 920)
    with Image.open(png) as image:
        assert len(set(image.convert("L").tobytes())) > 20


def test_the_same_rows_give_the_same_bytes(tmp_path: Path, make_rows: MakeRows) -> None:
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    for path in (first, second):
        draw_curve(make_rows(71), title="Twice", path=path)
    assert first.read_bytes() == second.read_bytes()


def test_rows_without_anchors_or_front_are_drawn(tmp_path: Path, make_rows: MakeRows) -> None:
    rows = [row for row in make_rows(12) if row.anchor is None and not row.on_front]
    draw_curve(rows, title="Dots", path=tmp_path / "dots.png")
    assert (tmp_path / "dots.png").stat().st_size > 5_000


def test_settings_are_given_back(tmp_path: Path, make_rows: MakeRows) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_curve(make_rows(4), title="Quiet", path=tmp_path / "quiet.svg")
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_not_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from stitchable.evaluation.curve import CurveRow\n"
        "from stitchable.report.figure import draw_curve\n"
        "row = CurveRow(0, 'a[0:2]', 10**6, 10**3, 50.0, 45.0, 55.0, 1.0, 100, True, anchor='a')\n"
        "draw_curve([row], title='One', path=Path(sys.argv[1]))\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True, timeout=120)
    assert (tmp_path / "a.png").stat().st_size > 5_000


def test_errors_say_what_to_do(tmp_path: Path, make_rows: MakeRows) -> None:
    with pytest.raises(StitchError, match=r"ends in \.svg or \.png"):
        draw_curve(make_rows(3), title="", path=[tmp_path / "a.svg", tmp_path / "a.jpg"])
    with pytest.raises(StitchError, match="without rows"):
        draw_curve([], title="", path=tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []
