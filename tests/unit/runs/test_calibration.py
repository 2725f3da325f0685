"""BatchNorm statistics of a run: measured, extracted and told of in the same way."""

import json
from dataclasses import replace

import pytest
import torch

from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.store import save_anchor
from stitchable.cli.main import main
from stitchable.data.loader import image_loader
from stitchable.data.sources import open_images
from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve
from stitchable.input_spec import InputSpec
from stitchable.network import StitchedNetwork
from stitchable.runs.calibration import even_batch_size
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
from stitchable.runs.extract import extract_run
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.report import report_run
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.subnetwork import Subnetwork
from stitchable.training.options import TrainOptions

SOME = SweepConfig(images=120, batch_size=40, calibration_images=90)


@pytest.fixture
def run(tiny_resnet, tmp_path, digits):
    """A fitted run of two ResNets that take the digits."""
    anchors = []
    for name, layers, width in (("shallow", (1, 2, 1, 1), 4), ("deep", (1, 4, 1, 1), 6)):
        built = tiny_resnet(name, layers, width, seed=width, num_classes=10)
        spec = InputSpec((1, 8, 8), (0.5,), (0.5,))
        anchors.append(anchor_from_module(built.model, name=name, input_spec=spec, source=built.source))
        save_anchor(anchors[-1], tmp_path / name)
    config = RunConfig(
        anchors=[str(tmp_path / anchor.name) for anchor in anchors], data=digits, fit=FitConfig(images=60)
    )
    run = RunFolder(tmp_path / "run")
    fit_run(run, config)
    return run


def stitched(rows):
    return [row for row in rows if row.anchor is None]


@torch.no_grad()
def test_an_extracted_stitch_is_the_one_that_was_measured(run, tmp_path, digits):
    rows = sweep_run(run, data=digits, options=SOME, seed=5)
    assert read_curve(run.curve_fitted) == rows
    assert {row.calibration_images for row in stitched(rows)} == {90}
    network = StitchedNetwork.from_pretrained(run.fitted)
    held_out = list(image_loader(open_images("digits:val"), network.input_spec, batch_size=40, limit=120))
    for number, row in enumerate(stitched(rows)):
        sub = extract_run(run, row.stitch, tmp_path / f"model{number}", data=digits, options=SOME)
        right = sum(int((sub(images).argmax(1) == labels).sum()) for images, labels in held_out)
        losses = [torch.nn.functional.cross_entropy(sub(x).double(), y, reduction="sum") for x, y in held_out]
        assert row.top1 == 100 * right / 120
        assert row.loss == pytest.approx(float(sum(losses)) / 120, rel=1e-12)
        assert not torch.equal(sub(held_out[0][0]), network(held_out[0][0], row.stitch))


def test_the_folder_says_that_statistics_were_estimated(run, tmp_path, digits):
    stitch = "shallow[0:2]+deep[2:7]"
    extract_run(run, stitch, tmp_path / "adjusted", data=digits, options=SOME)
    off = replace(SOME, calibration_images=0)
    extract_run(run, stitch, tmp_path / "kept", data=DataConfig(), options=off)
    sentence = "adjusted on 90 training images"
    assert sentence in (tmp_path / "adjusted" / "README.md").read_text()
    assert "adjusted" not in (tmp_path / "kept" / "README.md").read_text()
    assert json.loads((tmp_path / "adjusted" / "config.json").read_text())["calibration_images"] == 90
    assert Subnetwork.from_pretrained(tmp_path / "adjusted").calibration_images == 90
    assert Subnetwork.from_pretrained(tmp_path / "kept").calibration_images is None


@torch.no_grad()
def test_switched_off_everything_is_the_network_s(run, tmp_path, digits, noise):
    off = replace(SOME, calibration_images=0)
    rows = sweep_run(run, data=replace(digits, train="nowhere"), options=off)
    assert {row.calibration_images for row in rows} == {None}
    network = StitchedNetwork.from_pretrained(run.fitted)
    sub = extract_run(run, rows[-1].stitch, tmp_path / "model", options=off)
    assert torch.equal(sub(noise(4)), network(noise(4), rows[-1].stitch))


def test_images_are_needed_and_asked_for(run, tmp_path, digits, contents):
    before = contents(tmp_path)
    for data, message in (
        (DataConfig(val="digits:val"), r"Give --data\.train, or keep .*--sweep\.calibration_images 0"),
        (replace(digits, train="nowhere"), "No images at nowhere"),
    ):
        with pytest.raises(StitchError, match=message):
            sweep_run(run, data=data, options=SOME)
        with pytest.raises(StitchError, match=message):
            extract_run(run, "shallow[0:2]+deep[2:7]", tmp_path / "model", data=data, options=SOME)
        assert contents(tmp_path) == before
    extract_run(run, "deep", tmp_path / "anchor", options=SOME)  # nothing lies behind a joint


@pytest.mark.parametrize(("batch_norm", "adjusted"), [("frozen", None), ("running", 1000)])
def test_left_open_it_depends_on_how_the_weights_were_trained(run, digits, tmp_path, batch_norm, adjusted):
    open_ = replace(SOME, calibration_images=None)
    before = sweep_run(run, data=digits, options=open_)
    assert {row.calibration_images for row in stitched(before)} == {1000}
    options = TrainOptions(epochs=1, batch_size=200, augment="none", batch_norm=batch_norm)
    train_run(run, data=digits, options=options)
    for weights, wanted in (("fitted", 1000), ("trained", adjusted)):
        rows = sweep_run(run, data=digits, options=open_, weights=weights)
        assert {row.calibration_images for row in stitched(rows)} == {wanted}
    sub = extract_run(run, "shallow[0:2]+deep[2:7]", tmp_path / "model", data=digits, options=open_)
    assert sub.calibration_images == adjusted
    named = extract_run(run, "shallow[0:2]+deep[2:7]", tmp_path / "named", data=digits, options=SOME)
    assert named.calibration_images == 90


def test_families_without_batch_norm_never_ask(measured, tmp_path):
    run, data = RunFolder(measured), DataConfig(train="nowhere", val="digits:val")
    rows = sweep_run(run, data=data, options=SweepConfig(images=40))
    assert {row.calibration_images for row in rows} == {None}
    extract_run(run, rows[-1].stitch, tmp_path / "model", data=data)


def test_the_commands_and_the_page_say_so(run, tmp_path, capsys):
    words = ["--sweep.images", "40", "--sweep.calibration_images", "90"]
    main(["sweep", str(run.path), *words])
    assert "of 3 adjusted on 90 training images" in capsys.readouterr().out
    page = "statistics adjusted behind the joints of 3 stitches, on 90 training images"
    assert page in run.report.read_text(encoding="utf-8")
    main(["extract", str(run.path), "--stitch", "shallow[0:2]+deep[2:7]", "--out", str(tmp_path / "model")])
    printed = capsys.readouterr().out  # the run remembers how it was measured
    assert "adjusted on 90 training images" in printed
    assert Subnetwork.from_pretrained(tmp_path / "model").calibration_images == 90
    words = ["--stitch", "deep", "--out", str(tmp_path / "anchor")]
    main(["extract", str(run.path), *words])
    assert "BatchNorm" not in capsys.readouterr().out
    main(["sweep", str(run.path), "--sweep.calibration_images", "0"])
    assert "adjusted" not in capsys.readouterr().out
    report_run(run)
    assert "adjusted" not in run.report.read_text(encoding="utf-8")


@pytest.mark.parametrize("largest", [1, 2, 3, 50, 250])
@pytest.mark.parametrize("count", [*range(2, 40), 250, 251, 501, 1000, 1001])
def test_batches_are_even_and_none_is_a_single_image(count, largest):
    size = even_batch_size(count, largest)
    sizes = [min(size, count - start) for start in range(0, count, size)]
    assert sum(sizes) == count
    assert min(sizes) >= 2
    if count % largest == 0 and largest > 1:
        assert set(sizes) == {largest}


@pytest.mark.parametrize("images", [-1, 1])
def test_numbers_of_images_that_make_no_sense(images):
    with pytest.raises(StitchError, match=r"sweep\.calibration_images must be 0 or at least 2"):
        SweepConfig(calibration_images=images)
