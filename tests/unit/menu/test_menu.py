import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import Condition, DeviceCost, DeviceCosts
from stitchable.evaluation.outcomes import Outcomes
from stitchable.evaluation.statistics import wilson_interval
from stitchable.menu.menu import build_menu
from stitchable.menu.menu_file import read_menu, write_menu
from stitchable.menu.menu_text import describe_menu, menu_table

IMAGES = 2000


def row(index, macs, top1, *, anchor=None, images=IMAGES):
    low, high = wilson_interval(round(top1 * images / 100), images)
    name = f"{anchor or f'net{index}'}[0:9]"
    return CurveRow(index, name, macs, macs // 10, top1, low, high, 0.5, images, False, anchor)


# By Wilson's intervals on 2,000 images (± 2 points or less) the sure steps are 70 → 80 → 85, and 80 → 87.5.
CLOUD = [
    row(0, 100, 70.0, anchor="small"),
    row(1, 400, 87.5, anchor="big"),
    row(2, 120, 72.0),
    row(3, 200, 80.0),
    row(4, 210, 80.5),
    row(5, 300, 85.0),
    row(6, 350, 84.0),
    row(7, 420, 87.0),
]


def chosen(menu):
    return [each.stitch for each in menu.entries]


def test_each_entry_is_surely_better_than_the_one_before():
    menu = build_menu(CLOUD, 8)
    # 85 and 87.5 overlap, so one has to go: without 87.5 the dearest budget loses 2.5 points, and
    # without 85 one of 399 loses 5. With 80.5 in the place of 80 one of 209 would lose 10.
    assert chosen(menu) == ["small[0:9]", "net3[0:9]", "net5[0:9]"]
    assert (menu.largest_loss, menu.cloud, menu.front, menu.basis) == (2.5, 8, 6, "intervals")
    assert [each.gain and each.gain.surely for each in menu.entries] == [None, True, True]
    assert "8 asked for, 3 worth having" in menu.notes[0]


def test_paired_answers_tell_more_apart():
    """Each stitch is right wherever a less accurate one is: then a few images make a sure difference."""
    labels = np.zeros(IMAGES, dtype=np.int32)
    predicted = np.ones((len(CLOUD), IMAGES), dtype=np.int32)
    for at, each in enumerate(CLOUD):
        predicted[at, : round(each.top1 * IMAGES / 100)] = 0
    names = tuple(each.stitch for each in CLOUD)
    outcomes = Outcomes(names, labels, predicted, np.ones(predicted.shape, dtype=np.float32))
    menu = build_menu(CLOUD, 8, outcomes=outcomes)
    assert menu.basis == "paired"
    assert chosen(menu) == [f"{name}[0:9]" for name in ("small", "net2", "net3", "net4", "net5", "big")]
    assert (menu.largest_loss, menu.mean_loss) == (0.0, 0.0)
    gain = menu.entries[3].gain
    # 10 images and no other: p = 2 / 2¹⁰
    assert gain.points == pytest.approx(0.5)
    assert gain.p_value == pytest.approx(2 / 2**10)
    stricter = build_menu(CLOUD, 8, outcomes=outcomes, confidence=0.9999)
    assert "net4[0:9]" not in chosen(stricter)
    stale = Outcomes(names, labels, predicted[::-1], np.ones(predicted.shape, dtype=np.float32))
    assert build_menu(CLOUD, 8, outcomes=stale).basis == "intervals"


def test_gaps():
    menu = build_menu(CLOUD, 8)
    assert [(gap.low, gap.high, gap.next_stitch, gap.best_stitch) for gap in menu.gaps] == [
        (100, 200, "net3[0:9]", "net2[0:9]"),
        (200, 300, "net5[0:9]", "net4[0:9]"),
        (300, 420, None, "big[0:9]"),
    ]
    lines = describe_menu(menu)
    assert (
        "between 100 MACs and 200 MACs nothing is surely better than small[0:9] (70.00 %); the best measured "
        "there is net2[0:9], +2.00 points, not sure (the intervals overlap)"
    ) in lines
    assert any(line.startswith("above 300 MACs, up to the dearest at 420 MACs, nothing") for line in lines)
    assert [gap.low for gap in build_menu(CLOUD, 8, gap_ratio=1.45).gaps] == [100, 200]
    assert build_menu(CLOUD, 8, gap_ratio=2.5).gaps == ()


def test_anchors_can_be_kept():
    menu = build_menu(CLOUD, 4, keep_anchors=True)
    assert chosen(menu) == ["small[0:9]", "net3[0:9]", "net5[0:9]", "big[0:9]"]
    assert menu.entries[-1].gain.surely is False
    assert menu.largest_loss == 2.0
    assert "anchor big, not surely better" in menu_table(menu)[-1]
    with pytest.raises(StitchError, match="Give 2 or more"):
        build_menu(CLOUD, 1, keep_anchors=True)


def test_an_anchor_off_the_front_takes_a_place():
    worse = [*CLOUD[:1], replace(CLOUD[1], top1=84.5), *CLOUD[2:7]]
    menu = build_menu(worse, 3, keep_anchors=True)
    assert chosen(menu)[-1] == "big[0:9]"
    assert [each.on_front for each in menu.entries] == [True, True, False]
    assert menu.entries[2].gain.points == 84.5 - menu.entries[1].top1
    assert build_menu(worse, 3).entries[-1].stitch == "net5[0:9]"


def test_along_a_device_s_latency():
    condition = Condition(batch=4)
    costs = {each.stitch: DeviceCost(500.0 - each.macs, 600.0 - each.macs, 7) for each in CLOUD[:3]}
    device = DeviceCosts(condition, costs)
    menu = build_menu(CLOUD, 3, axis="latency", device=device)
    assert (chosen(menu), menu.condition) == (["big[0:9]"], condition)
    assert "left out, since not in the profile: 5 of 8 stitches" in menu.notes
    assert menu.entries[0].cost == 100.0
    assert build_menu(CLOUD, 3, axis="latency", device=device, percentile="p95").entries[0].cost == 200.0
    with pytest.raises(StitchError, match="Memory is not on the curve"):
        build_menu(CLOUD, 3, axis="memory")


def test_what_a_race_stopped_is_left_out():
    menu = build_menu([*CLOUD, row(8, 110, 90.0, images=100)], 8)
    assert chosen(menu) == chosen(build_menu(CLOUD, 8))
    assert "left out: stopped by a race before 2,000 images: 1 of 9 stitches" in menu.notes


def test_a_floor():
    assert chosen(build_menu(CLOUD, 5, top1=84.0)) == ["net5[0:9]"]
    with pytest.raises(StitchError, match=r"No stitch reaches 90 % top-1. The most is 87\.50 %"):
        build_menu(CLOUD, 5, top1=90)


@pytest.mark.parametrize("name", ["menu.yaml", "menu.json"])
def test_the_file_reads_back(tmp_path, name):
    device = DeviceCosts(Condition(), {each.stitch: DeviceCost(each.macs / 7, 1e3, 99) for each in CLOUD})
    menu = build_menu(CLOUD, 8, axis="latency", device=device, keep_anchors=True)
    write_menu(tmp_path / name, menu)
    assert read_menu(tmp_path / name) == menu
    text = (tmp_path / name).read_text(encoding="utf-8")
    plain = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
    assert [each["stitch"] for each in plain["entries"]] == chosen(menu)
    assert plain["entries"][0]["costs"]["latency_ms"] == pytest.approx(100 / 7)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_files_that_are_no_menus(tmp_path):
    with pytest.raises(StitchError, match="No menu at"):
        read_menu(tmp_path / "none.yaml")
    with pytest.raises(StitchError, match="neither YAML nor JSON"):
        write_menu(tmp_path / "menu.txt", build_menu(CLOUD, 3))
    path = tmp_path / "menu.yaml"
    for text in ("a: [", "- 1", "menu: 2", "menu: 1\nentries: []", ""):
        path.write_text(text)
        with pytest.raises(StitchError, match="is no menu"):
            read_menu(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "A menu of 0 entries"),
        ({"gap_ratio": 0.5}, "A ratio of costs of 0.5 is below 1"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"axis": "flops"}, "There is no cost 'flops'"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(StitchError, match=message):
        build_menu(CLOUD, **{"size": 3, **arguments})
