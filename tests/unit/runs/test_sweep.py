from dataclasses import asdict, replace

import pytest

from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run


def test_sweep_measures_every_stitch_and_says_on_what(fitted):
    run, told = RunFolder(fitted), []
    rows = sweep_run(
        run,
        data=DataConfig(val="digits:val"),
        options=SweepConfig(images=50, batch_size=20),
        on_start=lambda stitches, images: told.append((stitches, images)),
        on_batch=told.append,
    )
    network = StitchedNetwork.from_pretrained(run.fitted)
    assert [row.stitch for row in rows] == list(map(str, network.space))
    assert {row.images for row in rows} == {50}
    assert told == [(len(rows), 50), 20, 20, 10]
    assert read_curve(run.curve_fitted) == rows
    assert not run.curve.exists()
    values = run.read_config()
    assert values["data"] == asdict(DataConfig(train="digits:train", val="digits:val"))
    assert values["sweep"] == {
        "images": None,
        "batch_size": 20,
        "stitches": None,
        "target": "all",
        "confidence": 0.95,
        "calibration_images": None,
        "autocast": "none",
        "together": 0,
        "memory": None,
    }


def test_sweep_tells_the_trained_network_from_the_fitted_one(fitted, digits, quick):
    run, some = RunFolder(fitted), SweepConfig(images=60)
    before = sweep_run(run, data=digits, options=some)
    with pytest.raises(StitchError, match="is not trained"):
        sweep_run(run, data=digits, options=some, weights="trained")
    train_run(run, data=digits, options=replace(quick, lr=1e-2))
    after = sweep_run(run, data=digits, options=some)
    assert read_curve(run.curve) == after
    assert read_curve(run.curve_fitted) == before
    alone = {row.anchor: row for row in before if row.anchor}
    for row in after:
        if row.anchor:
            assert row.original_top1 == alone[row.anchor].top1
            assert row.original_loss == pytest.approx(alone[row.anchor].loss)
            assert row.loss != row.original_loss
        else:
            assert row.original_top1 is None
    assert sweep_run(run, data=digits, options=some, weights="fitted") == before


def test_sweep_of_some_stitches_keeps_the_anchors(fitted, digits):
    rows = sweep_run(RunFolder(fitted), data=digits, options=SweepConfig(images=20, stitches=4), seed=3)
    assert len(rows) == 4
    assert [row.anchor for row in rows[:2]] == ["small", "medium"]


def test_a_sweep_that_fails_loses_nothing(measured, corrupt, contents):
    before = contents(measured)
    whole = DataConfig(val=str(corrupt), corrupt_limit=0)
    for data, message in ((whole, r"bee/3\.png"), (DataConfig(), "No images named")):
        with pytest.raises(StitchError, match=message):
            sweep_run(RunFolder(measured), data=data, options=SweepConfig(), overwrite=True)
        assert contents(measured) == before
