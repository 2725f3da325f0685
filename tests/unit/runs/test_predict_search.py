"""Prediction and search on a run whose whole space, two ways and up to two joints, was measured."""

import json
import shutil

import pytest

from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve
from stitchable.runs.config import FitConfig, RunConfig, SweepConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.predict import predict_run, r2_of
from stitchable.runs.search import SearchOptions, search_run
from stitchable.runs.sweep import sweep_run
from stitchable.space.build import SpaceOptions

IMAGES = SweepConfig(images=40, batch_size=40)


@pytest.fixture(scope="module")
def two_way(digit_models, digits, tmp_path_factory):
    run = RunFolder(tmp_path_factory.mktemp("two_way") / "run")
    space = SpaceOptions(direction="both", joints=2)
    fit_run(run, RunConfig(anchors=digit_models, data=digits, space=space, fit=FitConfig(images=60)))
    sweep_run(run, data=digits, options=IMAGES)
    return run


@pytest.fixture
def run(two_way, tmp_path):
    return RunFolder(shutil.copytree(two_way.path, tmp_path / "run"))


def test_a_run_that_gained_nothing_is_told_by_what_it_was(run, digits):
    """Were training to change nothing, the accuracy before it would order the stitches without fault."""
    shutil.copy(run.curve_fitted, run.curve)
    found = predict_run(run, data=digits, images=50)
    rows = [row for row in read_curve(run.curve) if row.anchor is None]
    assert [(row.stitch, row.measured) for row in found.rows] == [(row.stitch, row.top1) for row in rows]
    assert found.single["untrained_top1"].spearman.value == pytest.approx(1)
    assert found.error < 0.5 * found.spread
    assert {"unexplained", "dissimilarity", "joints"} <= set(found.features)


def test_stitches_that_were_not_measured_are_predicted_too(run, digits):
    rows = read_curve(run.curve_fitted)
    kept = [row for row in rows if row.index % 2 == 0]
    run.curve.write_text("".join(json.dumps(row.to_dict()) + "\n" for row in kept))
    found = predict_run(run, data=digits, images=0)
    assert "dissimilarity" not in found.features
    assert [row.stitch for row in found.rows] == [row.stitch for row in rows if row.anchor is None]
    assert sum(row.measured is None for row in found.rows) == sum(
        row.index % 2 for row in rows if not row.anchor
    )
    run.curve_fitted.unlink()
    run.fit_file.unlink()
    found = predict_run(run, data=digits, images=0)
    assert found.features == ("macs_share", "kept_of_end", "joints")
    assert len(found.rows) == len(rows) - 2


def test_a_prediction_needs_a_curve_after_training(run, digits):
    with pytest.raises(StitchError, match="has no curve after training"):
        predict_run(run, data=digits)
    shutil.copy(run.curve_fitted, run.curve)
    with pytest.raises(StitchError, match="0 or more; got -1"):
        predict_run(run, data=digits, images=-1)
    run.fit_file.write_text("{")
    with pytest.raises(StitchError, match="does not read"):
        r2_of(run)


def half_the_dearest(run):
    return max(row.macs for row in read_curve(run.curve_fitted)) * 2 // 3


@pytest.mark.parametrize("strategy", ["random", "guided"])
def test_a_search_measures_what_the_sweep_does(run, digits, strategy):
    rows = {row.stitch: row for row in read_curve(run.curve_fitted)}
    options = SearchOptions(half_the_dearest(run), evaluations=36, generation=6, strategy=strategy)
    told = []
    found = search_run(run, options, data=digits, sweep=IMAGES, on_rows=told.extend)
    assert len(found) == len({row.stitch for row in found}) == len(told) == 36
    assert found[0].anchor == "small"
    for row in found:
        expected = rows[row.stitch]
        assert row.macs == expected.macs <= options.macs
        assert (row.top1, row.images, row.index) == (expected.top1, 40, expected.index)
        assert row.loss == pytest.approx(expected.loss)
    best = max(found, key=lambda row: (row.top1, -row.macs))
    assert best.on_front


def test_a_search_that_was_cut_off_goes_on(run, digits):
    options = SearchOptions(half_the_dearest(run), evaluations=18, generation=6, strategy="evolution")
    whole = search_run(run, options, data=digits, sweep=IMAGES)
    file = run.path / "search.jsonl"
    written = file.read_text()
    lines = written.splitlines(keepends=True)
    file.write_text("".join(lines[:9]) + lines[9][:30])  # the second generation is not whole
    told = []
    again = search_run(run, options, data=digits, sweep=IMAGES, on_rows=lambda rows: told.append(len(rows)))
    assert again == whole
    assert file.read_text() == written
    assert told[0] == len([line for line in lines[1:9] if json.loads(line)["generation"] < 2])
    search_run(run, options, data=digits, sweep=IMAGES, on_rows=told.append)
    assert [row.stitch for row in told[-1]] == [row.stitch for row in whole]  # nothing was measured again


def test_another_search_begins_anew(run, digits):
    options = SearchOptions(half_the_dearest(run), evaluations=4, generation=4, strategy="random")
    search_run(run, options, data=digits, sweep=IMAGES)
    other = SearchOptions(half_the_dearest(run), evaluations=4, generation=4, strategy="random", seed=1)
    told = []
    search_run(run, other, data=digits, sweep=IMAGES, on_rows=told.append)
    assert len(told) == 2  # the anchors, and a generation
    with pytest.raises(StitchError, match="the cheapest has"):
        search_run(run, SearchOptions(10), data=digits, sweep=IMAGES)


def test_numbers_below_one_are_refused_before_anything_is_read():
    for name in ("evaluations", "generation"):
        with pytest.raises(StitchError, match=f"--{name} must be at least 1; got 0"):
            SearchOptions(10, **{name: 0})
