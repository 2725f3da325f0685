from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.report.path_diagram import describe_path, path_diagram
from stitchable.report.path_layout import joint_key, joint_paths, path_layout
from stitchable.stitch import Segment, Stitch

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def families(draw: st.DrawFn) -> tuple[dict[str, int], Stitch]:
    depths = {
        f"a{number}": depth
        for number, depth in enumerate(draw(st.lists(st.integers(1, 40), min_size=1, max_size=4)))
    }
    names = [draw(st.sampled_from(sorted(depths)))]
    for _ in range(draw(st.integers(0, 3))):
        others = [name for name in sorted(depths) if name != names[-1]]
        names += [draw(st.sampled_from(others))] if others else []
    segments = []
    for place, name in enumerate(names):
        start = 0 if place == 0 else draw(st.integers(0, depths[name] - 1))
        last = place == len(names) - 1
        segments.append(
            Segment(name, start, depths[name] if last else draw(st.integers(start + 1, depths[name])))
        )
    return depths, Stitch(tuple(segments))


@given(families())
def test_filled_blocks_joints_and_ends_are_those_of_the_stitch(family: tuple[dict[str, int], Stitch]) -> None:
    depths, stitch = family
    root = ET.fromstring(path_diagram(stitch, depths))
    rows = root.findall(f"{SVG}g")
    assert [row.get("data-anchor") for row in rows] == list(depths)
    on: set[tuple[str | None, int]] = set()
    for row in rows:
        blocks = [box for box in row.findall(f"{SVG}rect") if (box.get("class") or "").startswith("block")]
        assert len(blocks) == depths[row.get("data-anchor") or ""]
        on |= {(row.get("data-anchor"), i) for i, box in enumerate(blocks) if box.get("class") == "block on"}
    assert on == {(s.anchor, block) for s in stitch.segments for block in range(s.start, s.stop)}
    assert len(root.findall(f"{SVG}path[@class='joint']")) == len(stitch.joints)
    assert len(root.findall(f".//{SVG}rect[@class='stem on']")) == 1
    assert len(root.findall(f".//{SVG}rect[@class='head on']")) == 1
    assert root.get("aria-label") == describe_path(stitch)


@given(families())
def test_boxes_lie_inside_the_drawing_and_apart(family: tuple[dict[str, int], Stitch]) -> None:
    layout = path_layout(family[0])
    for boxes in layout.blocks.values():
        edges = [(layout.stem, 42.0), *boxes, (layout.head, 42.0)]
        for (left, width), (right, _) in pairwise(edges):
            assert width > 0
            assert left + width < right
        assert layout.head + 42 <= layout.width


def test_stages_are_columns_of_their_own() -> None:
    stages = {"tiny": [0, 1, 1], "deep": [0, 0, 1, 1, 1, 1]}
    layout = path_layout({"tiny": 3, "deep": 6}, stages)
    assert layout.blocks["tiny"][1][0] == layout.blocks["deep"][2][0]
    svg = path_diagram(Stitch.parse("tiny[0:1]+deep[2:6]"), {"tiny": 3, "deep": 6}, stages)
    assert "stage 0" in svg
    assert "stage 1" in svg


def test_equal_joints_are_kept_once_and_arrows_point_where_they_go() -> None:
    layout = path_layout({"a": 4, "b": 4})
    down, up = Stitch.parse("a[0:2]+b[2:4]"), Stitch.parse("b[0:2]+a[2:4]")
    paths = joint_paths(layout, [down, down, up])
    assert list(paths) == ["a:2+b:2", "b:2+a:2"]
    assert joint_key(*down.joints[0]) == "a:2+b:2"
    assert "m-4 -6" in paths["a:2+b:2"]
    assert "m-4 6" in paths["b:2+a:2"]


@pytest.mark.parametrize(
    ("stitch", "stages", "message"),
    [
        ("a[0:2]+c[1:3]", None, "no depth is given for 'c'"),
        ("a[0:2]+b[1:5]", None, "b has 3 blocks"),
        ("a[0:2]+b[1:3]", {"a": [0, 0]}, "Anchor b has 3 blocks, but stages are given for 0"),
    ],
)
def test_what_cannot_be_drawn_is_said(stitch: str, stages: dict[str, list[int]] | None, message: str) -> None:
    with pytest.raises(StitchError, match=message.replace("[", r"\[")):
        path_diagram(Stitch.parse(stitch), {"a": 2, "b": 3}, stages)


def test_an_anchor_alone_reads_as_words() -> None:
    assert describe_path(Stitch.parse("a[0:1]")) == "stem, block 0 and head of a"
