"""Heat maps as files and as tables: read back from what was drawn."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from stitchable.errors import StitchError
from stitchable.report.similarity_figure import draw_similarity
from stitchable.report.similarity_page import write_similarity_page
from stitchable.report.similarity_result import NAMES, NOT_TESTED
from stitchable.report.similarity_table import map_table
from stitchable.similarity.pair import PairSimilarity


def test_the_figure_has_a_cell_for_every_pair(similarity, tmp_path):
    found = similarity.maps[0]
    svg, png = tmp_path / "map.svg", tmp_path / "map.png"
    draw_similarity(found, path=[svg, png])
    root = ET.parse(svg).getroot()
    space = "{http://www.w3.org/2000/svg}"
    (mesh,) = (each for each in root.iter(f"{space}g") if each.get("id", "").startswith("QuadMesh"))
    cells = [each.get("style", "") for each in mesh.iter(f"{space}path")]
    assert len(cells) == sum(len(row) for row in found.cells)
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    values = [cell.value for row in found.cells for cell in row]
    for style, value in zip(cells, values, strict=True):
        assert f"fill: {to_hex(colormaps['viridis'](min(max(value, 0.0), 1.0)))}" in style
    (dots,) = (
        each for each in root.iter(f"{space}g") if len(each.findall(f"{space}use")) == len(found.chosen)
    )
    assert dots is not None
    with Image.open(png) as image:
        image.verify()
        assert image.size[0] == 1280
    again = tmp_path / "again.svg"
    draw_similarity(found, path=again)
    assert again.read_bytes() == svg.read_bytes()
    with pytest.raises(StitchError, match=r"Cannot draw 'map\.jpg'"):
        draw_similarity(found, path=tmp_path / "map.jpg")


def test_a_table_marks_stages_and_joints(similarity):
    found = similarity.maps[0]
    table = map_table(found)
    assert table.stages == ((0, 3), (1, 4))
    assert [row.stage for row in table.rows] == [(0, 3), None, None, (1, 2), None]
    for row, column in np.ndindex(5, 7):
        cell, value = table.rows[row].cells[column], found.cells[row][column].value
        assert float(cell.text.replace("−", "-")) == pytest.approx(value, abs=0.00501)
        assert cell.shade == round(100 * min(max(value, 0), 1))
        assert ("left" in cell.marks) == (column == 3)
        assert ("top" in cell.marks) == (row == 3)
        assert ("chosen" in cell.marks) == ((row, column) in found.chosen)
        assert cell.told.startswith(f"small cut {row}, large cut {column}: ")
    bare = replace(found, cells=((PairSimilarity("cka", ("a", 0), ("b", 0), 0.25),),), chosen=frozenset())
    assert map_table(bare).rows[0].cells[0].told == "a cut 0, b cut 0: 0.250"


class Reader(HTMLParser):
    """Tables of a page as lists of rows of texts, and whether all that was opened is closed."""

    def __init__(self):
        super().__init__()
        self.tables, self.open = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "wbr"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data.replace("−", "-")


def read(path, found):
    write_similarity_page(path, found, facts={"Images": "<90 & more>"})
    reader = Reader()
    reader.feed(path.read_text())
    assert reader.open == []
    return reader.tables, path.read_text()


def test_the_page_says_what_was_found(similarity, tmp_path):
    (order, *maps, joints), text = read(tmp_path / "page.html", similarity)
    assert [row[0] for row in order[1:]] == [NAMES[each.measure] for each in similarity.correlations]
    assert [row[1] for row in order[1:]] == [
        str(each.found.spearman).replace("−", "-") for each in similarity.correlations
    ]
    assert len(maps) == 2
    for table, found in zip(maps, similarity.maps, strict=True):
        cells = [row[-7:] for row in table[2:]]
        assert cells == [[cell.text.replace("−", "-") for cell in row.cells] for row in map_table(found).rows]
    assert len(joints) - 1 == len(similarity.joints)
    for row, joint in zip(joints[1:], similarity.joints, strict=True):
        test = similarity.test_of(joint)
        assert row[0].split()[0] == str(joint)
        assert ("chosen" in row[0]) == (joint in similarity.chosen)
        assert float(row[1].split()[0]) == pytest.approx(similarity.similarity["cka"][joint].value, abs=6e-4)
        assert [float(cell.split()[0]) for cell in row[-3:]] == pytest.approx(
            [test.r2, test.top1, test.drop], abs=6e-3
        )
    assert "&lt;90 &amp; more&gt;" in text
    assert NOT_TESTED not in text
    assert not re.search(r"""(?:src|href)=["']?(?:http|//)""", text)


def test_an_untested_page_claims_nothing(similarity, tmp_path):
    alone = replace(similarity, tested=(), correlations=(), anchors_top1={})
    tables, text = read(tmp_path / "page.html", alone)
    assert NOT_TESTED in text
    assert len(tables) == 3
    assert "Top-1" not in text
    assert "other" in read(tmp_path / "page.html", replace(alone, note="for an other reason"))[1]
