"""Similarities of saved anchors on the digits: numbers by hand, joints, the test, and the folder."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from stitchable.anchors.store import save_anchor
from stitchable.errors import StitchError
from stitchable.report.similarity_result import NOT_TESTED
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.similarity import Progress, measure_similarity
from stitchable.runs.similarity_folder import SimilarityFolder
from stitchable.runs.similarity_options import SimilarityOptions
from stitchable.runs.sweep import sweep_run
from stitchable.space.build import SpaceOptions

FEW = SimilarityOptions(
    images=90, rows="pooled", measures="cka,r2", batch_size=30, groups=3, fit_images=60, test_images=40
)

ALL = replace(FEW, test="all", fit_images=10_000)


@pytest.fixture(scope="module")
def tested(digit_models, digits, tmp_path_factory):
    """Everything once, all joints tested: the folder, the result, and what was told."""
    out, told = SimilarityFolder(tmp_path_factory.mktemp("similarity") / "out"), []
    progress = Progress(start=lambda *what: told.append(what), batch=told.append)
    return out, measure_similarity(digit_models, ALL, data=digits, out=out, progress=progress), told


def test_the_json_says_what_was_found(tested):
    out, found, _ = tested
    written = json.loads(out.json.read_text())
    assert [(each["measure"], each["front"], each["end"]) for each in written["maps"]] == [
        ("cka", "small", "medium"),
        ("r2", "small", "medium"),
    ]
    for each, given in zip(written["maps"], found.maps, strict=True):
        for kind in ("value", "low", "high"):
            assert each[kind] == [[getattr(cell, kind) for cell in row] for row in given.cells]
        assert (len(each["value"]), len(each["value"][0])) == (4, 4)
    assert written["images"] == found.images == 90
    assert written["options"]["rows"] == "pooled"
    assert [each["joint"] for each in written["joints"]] == [str(joint) for joint in found.joints]
    assert sum(each["chosen"] for each in written["joints"]) == 3
    assert written["note"] is None


def test_the_csv_says_the_same(tested):
    out, found, _ = tested
    with out.csv.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * 16
    for line in lines:
        kind = next(
            each
            for each in found.maps
            if (each.measure, each.front, each.end) == (line["measure"], line["front"], line["end"])
        )
        cell = kind.cells[int(line["front_cut"])][int(line["end_cut"])]
        assert [float(line[name]) for name in ("value", "low", "high")] == [cell.value, cell.low, cell.high]


def test_the_first_measure_chooses(tested):
    _, found, _ = tested
    cka = np.array([[cell.value for cell in row] for row in found.maps[0].cells])
    expected = [(1 + int(cka[1:, enter].argmax()), enter) for enter in range(3)]
    assert [(joint.leave, joint.enter) for joint in found.chosen] == expected
    assert found.maps[0].chosen == set(expected)
    assert found.similarity["cka"][found.chosen[0]].value == cka[expected[0]]


def test_the_test_is_what_fit_and_sweep_give(tested, digit_models, digits, tmp_path):
    """Joints that the rules make too, fitted and measured by the commands' own way on the same images."""
    _, found, told = tested
    assert told == [("all cuts", 90), 30, 30, 30, ("9 joints", 40), 30, 10]
    run, fit = RunFolder(tmp_path / "run"), FitConfig(images=10_000, batch_size=30)
    space = SpaceOptions(kernel=1, sharing="none")
    fitted = fit_run(run, RunConfig(anchors=digit_models, data=digits, space=space, fit=fit))
    r2 = {str(joints[0]): layer.r2 for layer in fitted.layers for joints in [_joints(fitted, layer)]}
    rows = {row.stitch: row for row in sweep_run(run, data=digits, options=SweepConfig(images=40))}
    assert len(found.tested) == 9
    both = [each for each in found.tested if each.stitch in rows]
    assert len(both) == len(r2) == 3
    for each in both:
        row = rows[each.stitch]
        assert (each.top1, each.top1_low, each.macs) == (row.top1, row.top1_low, row.macs)
        assert each.drop == pytest.approx(rows["medium[0:3]"].top1 - row.top1)
        assert each.r2 == pytest.approx(r2[str(each.joint)])
        assert (each.fit_images, each.images) == (fitted.layers[0].images, 40)
    assert found.anchors_top1 == {row.anchor: row.top1 for row in rows.values() if row.anchor}
    kinds = [(each.measure, each.joints) for each in found.correlations]
    assert kinds == [("cka", 9), ("r2", 9), ("fit_r2", 9)]


def _joints(fitted, layer):
    return fitted.network.space.layers[layer.layer]


def test_without_a_test_nothing_is_claimed(digit_models, tmp_path):
    out = SimilarityFolder(tmp_path / "out")
    data = DataConfig(val="digits:val")
    found = measure_similarity(digit_models, replace(FEW, measures="cka"), data=data, out=out)
    assert list(found.tested) == list(found.correlations) == []
    assert "a similarity is no prediction of accuracy: no training images are named" in found.note
    assert found.note in out.page.read_text()
    none = replace(FEW, test="none", measures="r2")
    found = measure_similarity(digit_models, none, data=data, out=out, overwrite=True)
    assert NOT_TESTED in out.page.read_text()
    written = json.loads(out.json.read_text())
    assert written["note"] == NOT_TESTED
    assert not any("top1" in each for each in written["joints"])
    assert sorted(path.name for path in out.maps.iterdir()) == ["r2_small_medium.png", "r2_small_medium.svg"]


def test_unlike_classes_are_compared_and_not_tested(digit_models, digits, tiny_vit, tmp_path):
    save_anchor(tiny_vit("other", 6, seed=3, num_classes=7), tmp_path / "other")
    both, out = [digit_models[0], str(tmp_path / "other")], SimilarityFolder(tmp_path / "out")
    found = measure_similarity(both, replace(FEW, measures="cka"), data=digits, out=out)
    assert "small tells 10 classes apart, other 7" in found.note
    assert len(found.maps) == 1
    asked = replace(FEW, test="all")
    with pytest.raises(StitchError, match="--test all cannot be done: small tells 10 classes apart"):
        measure_similarity(both, asked, data=digits, out=SimilarityFolder(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_the_options_have_ranges():
    for change, message in (
        ({"images": 3}, "--images must be at least 4; got 3"),
        ({"fit_images": 1}, "--fit_images must be at least 2"),
        ({"groups": 1}, "--groups is 0, for no intervals, or 2 and more; got 1"),
        ({"measures": " ,"}, "--measures names none. Allowed: cka,"),
        ({"measures": "cka,ckb"}, "Unknown measure 'ckb' in --measures. Nearest: cka"),
        ({"measures": "r2", "rows": "flattened"}, "r2 cannot be had from flattened rows. Allowed: cka_minib"),
        ({"rows": "pixel"}, "Unknown similarity.rows 'pixel'. Nearest: pixels"),
    ):
        with pytest.raises(StitchError, match=f"^{re.escape(message)}"):
            SimilarityOptions(**change)
    assert SimilarityOptions(rows="flattened").measure_list == ("cka_minibatch",)
    assert SimilarityOptions().measure_list == ("r2", "cka")
