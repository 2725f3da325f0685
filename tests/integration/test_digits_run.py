"""The whole job on real images: the commands one after the other, and the model they leave behind."""

import json
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import fields
from io import StringIO
from statistics import mean

import pytest
import torch
from safetensors.torch import load_file, save_file

from stitchable.anchors.store import save_anchor
from stitchable.cli.main import main
from stitchable.data.loader import image_loader
from stitchable.data.sources import open_images
from stitchable.demo.family import digit_anchors
from stitchable.evaluation.curve import CurveRow
from stitchable.network import StitchedNetwork

READER = """
import sys
from safetensors.torch import load_file, save_file
from stitchable import Subnetwork
images = load_file("images.safetensors")["images"]
save_file({"logits": Subnetwork.from_pretrained(sys.argv[1])(images).detach()}, "logits.safetensors")
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A place with two anchors, a run that went all the way and a model, and what the commands printed."""
    place = tmp_path_factory.mktemp("place")
    anchors = digit_anchors()[:2]
    for anchor in anchors:
        save_anchor(anchor, place / anchor.name)
    said = {}

    def call(step, *words):
        with redirect_stdout(StringIO()) as printed:
            main([step.split()[0], *map(str, words)])
        said[step] = printed.getvalue()

    run = place / "run"
    training = ["--train.epochs", 8, "--train.batch_size", 50, "--train.lr", "3e-3", "--train.layer_lr"]
    training += ["3e-3", "--train.label_smoothing", 0, "--train.augment", "none", "--train.clip_norm", 1]
    data = ["--data.train", "digits:train", "--data.val", "digits:val", "--data.memory", "true"]
    named = ",".join(str(place / anchor.name) for anchor in anchors)
    call("fit", "--run", run, "--anchors", named, *data, "--device", "cpu")
    call("sweep before", run)
    call("train", run, *training)
    call("sweep after", run)
    budget = mean(anchor.outline.cost.macs for anchor in anchors)
    call("pick", run, "--macs", int(budget), "--format", "json")
    call("report", run)
    call("extract", run, "--stitch", json.loads(said["pick"])["stitch"], "--out", place / "model")
    return place, said


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_step_leaves_its_files(told):
    place, said = told
    run = place / "run"
    assert {path.name for path in run.iterdir()} == {
        *("config.yaml", "fitted", "network", "fit.json", "train.jsonl", "train_summary.json"),
        *("curve_fitted.jsonl", "curve.jsonl", "report.html", "curve.svg", "curve.png"),
        *("outcomes_fitted.safetensors", "outcomes.safetensors"),
    }
    assert {path.name for path in (place / "model").iterdir()} == {
        *("config.json", "model.safetensors", "README.md"),
    }
    assert not list(place.rglob("*.partial"))
    steps = rows_of(run / "train.jsonl")
    assert [step["step"] for step in steps] == list(range(8 * 1000 // 50))
    assert f"{len(steps)} steps" in said["train"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert json.loads(said["pick"])["stitch"] in page
    assert all(0 < layer["r2"] < 1 for layer in json.loads((run / "fit.json").read_text()))


def test_the_curves_say_the_same_of_the_same_stitches(told):
    place, _ = told
    before, after = (rows_of(place / "run" / f"{name}.jsonl") for name in ("curve_fitted", "curve"))
    stitches = [row["stitch"] for row in before]
    # Two ViTs of six blocks, window 2, stride 1: 5 windows with 4 + 4 · 3 new pairs, and the anchors.
    assert len(stitches) == len(set(stitches)) == 18
    assert [row["stitch"] for row in after] == stitches
    known = {field.name for field in fields(CurveRow)}
    for fitted, trained in zip(before, after, strict=True):
        assert {"index", "stitch", "macs", "params", "top1", "loss", "images"} <= fitted.keys() <= known
        assert {key: fitted[key] for key in ("index", "macs", "params", "images")} == {
            key: trained[key] for key in ("index", "macs", "params", "images")
        }
        assert fitted["images"] == 797
        assert fitted["top1_low"] < fitted["top1"] < fitted["top1_high"]
    anchors = [row for row in after if "anchor" in row]
    assert [row["original_top1"] for row in anchors] == [row["top1"] for row in before if "anchor" in row]


def test_training_lifts_the_stitches(told):
    place, _ = told
    before, after = (
        [row["top1"] for row in rows_of(place / "run" / f"{name}.jsonl") if "anchor" not in row]
        for name in ("curve_fitted", "curve")
    )
    assert mean(after) > mean(before)
    assert min(after) > min(before)
    losses = [step["loss"] for step in rows_of(place / "run" / "train.jsonl")]
    assert mean(losses[-20:]) < mean(losses[:20])


def test_the_pick_is_the_best_that_fits(told):
    place, said = told
    chosen = json.loads(said["pick"])
    rows = rows_of(place / "run" / "curve.jsonl")
    anchors = [row["macs"] for row in rows if "anchor" in row]
    fitting = [row for row in rows if row["macs"] <= mean(anchors)]
    assert chosen["top1"] == max(row["top1"] for row in fitting)
    assert chosen["macs"] <= mean(anchors)


@torch.no_grad()
def test_the_model_computes_in_a_fresh_process_what_was_measured(told):
    place, said = told
    chosen = json.loads(said["pick"])
    network = StitchedNetwork.from_pretrained(place / "run" / "network")
    loader = image_loader(open_images("digits:val"), network.input_spec, batch_size=1000)
    images, labels = next(iter(loader))
    save_file({"images": images}, place / "images.safetensors")
    subprocess.run([sys.executable, "-c", READER, "model"], cwd=place, check=True)
    logits = load_file(place / "logits.safetensors")["logits"]
    expected = network(images, chosen["stitch"])
    assert torch.equal(logits, expected)
    assert 100 * (logits.argmax(1) == labels).double().mean() == pytest.approx(chosen["top1"], abs=1e-9)
    assert torch.nn.functional.cross_entropy(logits, labels) == pytest.approx(chosen["loss"], rel=1e-4)
