"""Runs of several seeds: plain folders, since the command reads nothing but their files."""

import json
from dataclasses import replace

import numpy as np
import pytest

from stitchable.evaluation.curve import CurveRow, write_curve
from stitchable.evaluation.outcomes import Outcomes, write_outcomes
from stitchable.runs.folder import RunFolder

ROWS = [
    CurveRow(0, "a[0:3]", 1_000_000, 10, 90.0, 89, 91, 0.4, 4, True, "a"),
    CurveRow(1, "a[0:1]+b[1:3]", 2_000_000, 20, 89.0, 88, 90, 0.4, 4, False),
]
NAMES = tuple(row.stitch for row in ROWS)


@pytest.fixture
def make(tmp_path):
    """Makes a run with a seed; top-1 of the second stitch; settings and labels that may differ."""

    def made(seed, top1, *, lr=0.1, workers=0, trained=True, labels=(0, 1, 2, 3), anchors=("a", "b")):
        run = RunFolder(tmp_path / f"run{len(list(tmp_path.iterdir()))}")
        (run.network if trained else run.fitted).mkdir(parents=True)
        if trained:
            (run.network / "config.json").write_text("{}", encoding="utf-8")
        config = {"anchors": list(anchors), "data": {"val": "v", "workers": workers}, "train": {"lr": lr}}
        run.write_config({**config, "seed": seed})
        write_curve(run.latest_curve, [ROWS[0], replace(ROWS[1], top1=top1, on_front=top1 > 90)])
        answers = np.zeros((2, 4), np.int32)
        outcomes = Outcomes(NAMES, np.array(labels, np.int32), answers, np.ones((2, 4), np.float32))
        write_outcomes(run.latest_outcomes, outcomes)
        return run.path

    return made


def test_mean_and_spread(make, run):
    paths = [make(seed, top1, workers=seed) for seed, top1 in enumerate([91.0, 92.0, 89.4])]
    found = json.loads(run("seeds", *paths, "--format", "json"))
    assert found["seeds"] == [0, 1, 2]
    first, second = found["stitches"]
    assert (first["top1"], first["deviation"], first["on_front"]) == (90, 0, 3)
    assert (second["stitch"], second["seeds"], second["on_front"]) == (NAMES[1], 3, 2)
    assert second["top1"] == pytest.approx(90.8)
    assert second["deviation"] == pytest.approx(1.3115, abs=1e-4)  # sqrt((0.2² + 1.2² + 1.4²) / 2)
    assert found["deviation"] == pytest.approx(1.3115 / 2**0.5, abs=1e-4)
    assert second["top1_high"] - 90.8 == pytest.approx(4.3027 * 1.3115 / 3**0.5, abs=1e-3)
    text = run("seeds", *paths)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert f"{NAMES[1]} 2.00 MMACs 90.80 % 1.31 87.54 to 94.06 2 of 3 front of means" in lines
    assert "2 stitches, seeds 0, 1, 2; over all stitches the standard deviation" in text


def test_before_training_its_settings_do_not_count(make, run):
    paths = [make(0, 91.0, trained=False), make(1, 91.0, trained=False, lr=0.3)]
    assert "seeds 0, 1" in run("seeds", *paths)


def test_raced_curves_are_refused_with_what_to_do(make, refused):
    first, second = make(0, 91.0), make(1, 91.0)
    file = RunFolder(second).latest_curve
    write_curve(file, [ROWS[0], replace(ROWS[1], images=3)])
    line = refused("seeds", first, second)
    assert line.startswith(f"{file} is of a race, which stopped 1 of 2 stitches before they had seen all 4")
    assert "Sweep every run with --target all" in line


def test_runs_that_are_not_alike_are_refused(make, refused, tmp_path):
    first = make(0, 91.0)
    assert "1 run shows no spread" in refused("seeds", first)
    assert "have the same seed, 0" in refused("seeds", first, make(0, 91.0))
    assert "differ in train.lr: 0.1 and 0.3" in refused("seeds", first, make(1, 91.0, lr=0.3))
    assert "differ in anchors" in refused("seeds", first, make(1, 91.0, anchors=("a", "c")))
    assert "is trained and" in refused("seeds", first, make(1, 91.0, trained=False))
    assert "their labels differ" in refused("seeds", first, make(1, 91.0, labels=(0, 1, 2, 2)))
    assert "holds no run" in refused("seeds", first, tmp_path / "nowhere")
    other = make(1, 91.0)
    write_curve(RunFolder(other).latest_curve, ROWS[:1])
    assert "different spaces" in refused("seeds", first, other)
