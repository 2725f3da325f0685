import json

from stitchable.evaluation.curve import read_curve
from stitchable.runs.folder import RunFolder


def test_predict_says_what_it_lacks(refused, measured):
    assert "has no curve after training" in refused("predict", measured)
    folder = RunFolder(measured)
    folder.curve.write_bytes(folder.curve_fitted.read_bytes())
    line = refused("predict", measured, "--images", 0)
    assert line.startswith(
        "7 trained stitches were measured, anchors apart; a predictor is fitted to 8 or more."
    )


def test_search_prints_the_front_of_what_it_measured(run, measured):
    words = ["search", measured, "--macs", "1G", "--evaluations", 9, "--strategy", "random"]
    found = json.loads(run(*words, "--sweep.images", 40, "--format", "json"))
    swept = {row.stitch: row for row in read_curve(RunFolder(measured).curve_fitted)}
    assert {row["stitch"] for row in found} == {row.stitch for row in swept.values() if row.on_front}
    printed = run(*words, "--sweep.images", 40)
    assert "9 stitches measured on 40 images" in printed
    assert all(row.get("anchor", row["stitch"]) in printed for row in found)


def test_search_refuses_what_is_no_budget(refused, measured):
    assert "No stitch has 5 MACs" in refused("search", measured, "--macs", "5")
    assert "not a count" in refused("search", measured, "--macs", "many")
