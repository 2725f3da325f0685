import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch
import yaml
from PIL import Image

from stitchable.anchors.load import load_anchor
from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.steps import extract_run, fit_run, report_run, sweep_run, train_run
from stitchable.subnetwork import Subnetwork
from stitchable.training.options import TrainOptions
from stitchable.training.samplers import UniformSampler

DIGITS = DataConfig(train="digits:train", val="digits:val")
QUICK = TrainOptions(epochs=1, batch_size=200, augment="none")


@pytest.fixture
def config(digit_models):
    return RunConfig(anchors=digit_models, data=DIGITS, fit=FitConfig(images=30))


def same_weights(first, second):
    first, second = (StitchedNetwork.from_pretrained(folder).state_dict() for folder in (first, second))
    return all(torch.equal(first[key], second[key]) for key in first.keys() | second.keys())


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# Fit


def test_fit_writes_configuration_network_and_r2(config, tmp_path, contents):
    run = RunFolder(tmp_path / "deep" / "run")
    made = fit_run(run, config)
    assert contents(run.path).keys() == {
        "config.yaml",
        "fit.json",
        "fitted",
        "fitted/README.md",
        "fitted/config.json",
        "fitted/model.safetensors",
    }
    back = StitchedNetwork.from_pretrained(run.fitted)
    assert list(map(str, back.space)) == list(map(str, made.network.space))
    assert json.loads(run.fit_file.read_text()) == [asdict(layer) for layer in made.layers]
    assert {layer.layer for layer in made.layers} == set(back.layers)
    # Four patches and a class token each, of exactly the images asked for: the last batch is cut.
    assert all(layer.rows == layer.pairs * 30 * 5 for layer in made.layers)
    assert yaml.safe_load(run.config_file.read_text()) == json.loads(json.dumps(asdict(config)))


def test_fit_is_the_same_for_the_same_seed(config, tmp_path):
    runs = [RunFolder(tmp_path / name) for name in ("one", "two", "other")]
    for run, seed in zip(runs, (3, 3, 4), strict=True):
        fit_run(run, replace(config, seed=seed))
    assert same_weights(runs[0].fitted, runs[1].fitted)
    assert not same_weights(runs[0].fitted, runs[2].fitted)


def test_fit_of_more_images_than_there_are_takes_them_all(config, tmp_path):
    made = fit_run(RunFolder(tmp_path / "run"), replace(config, fit=FitConfig(images=10**6, batch_size=500)))
    assert all(layer.rows == layer.pairs * 1000 * 5 for layer in made.layers)


def test_kaiming_needs_no_images(config, tmp_path):
    run = RunFolder(tmp_path / "run")
    made = fit_run(run, replace(config, data=DataConfig(), fit=FitConfig(initialization="kaiming")))
    assert made.layers == []
    assert json.loads(run.fit_file.read_text()) == []
    fresh = StitchedNetwork([load_anchor(text) for text in config.anchor_texts], seed=0)
    for key, value in StitchedNetwork.from_pretrained(run.fitted).state_dict().items():
        assert torch.equal(value, fresh.state_dict()[key])


def test_pruning_is_told(config, tmp_path):
    made = fit_run(RunFolder(tmp_path / "run"), replace(config, prune=["deeper"]))
    assert len(made.notes) == 1
    assert "deeper" in made.notes[0]
    assert all(stitch.depth <= 3 for stitch in made.network.space)


def test_replacing_a_run_leaves_nothing_of_the_old_one(config, measured, contents):
    for name in ("curve.jsonl", "train.jsonl", "train.jsonl.partial", "train_summary.json", "report.html"):
        (measured / name).write_text("old")
    (measured / "network").mkdir()
    (measured / "network" / "config.json").write_text("old")
    fit_run(RunFolder(measured), config, overwrite=True)
    assert {name.split("/")[0] for name in contents(measured)} == {"config.yaml", "fit.json", "fitted"}


def photos(root, classes=("ant", "bee")):
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (8, 8), 20 * number + label).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def corrupt(tmp_path):
    root = photos(tmp_path / "photos")
    (root / "bee" / "3.png").write_bytes((root / "bee" / "3.png").read_bytes()[:40])
    return root


def test_nothing_is_written_where_fit_is_refused(config, tmp_path, measured, contents, corrupt, tiny_vit):
    save = load_anchor(config.anchor_texts[0])
    save.source = None
    unsavable = [save, load_anchor(config.anchor_texts[1])]
    elsewhere = [load_anchor(config.anchor_texts[0]), tiny_vit("five", 6)]
    cases = [
        (replace(config, data=DataConfig()), None, "No images named"),
        (replace(config, data=DataConfig(train="nowhere")), None, "No images at nowhere"),
        (replace(config, data=DataConfig(train=str(corrupt))), None, "bee/3.png does not read"),
        (replace(config, anchors=config.anchor_texts[:1]), None, "Got 1 anchors"),
        (replace(config, anchors=config.anchor_texts[:1] * 2), None, "Anchor names must differ"),
        (replace(config, device="warp"), None, "No device 'warp'"),
        (config, unsavable, "does not say how its architecture is built again"),
        (config, elsewhere, "tells 10 classes apart, five 5"),
    ]
    before = contents(measured)
    for wrong, anchors, message in cases:
        for run, overwrite in ((RunFolder(tmp_path / "new"), False), (RunFolder(measured), True)):
            with pytest.raises(StitchError, match=message):
                fit_run(run, wrong, anchors, overwrite=overwrite)
        assert not (tmp_path / "new").exists(), message
        assert contents(measured) == before, message


def test_images_of_other_classes_are_refused(config, fitted, tmp_path, digit_models):
    many = photos(tmp_path / "many", tuple(f"class{number:02}" for number in range(11)))
    with pytest.raises(StitchError, match="labels up to 10; the anchors tell 10 classes apart"):
        sweep_run(RunFolder(fitted), data=DataConfig(val=str(many)), options=SweepConfig())
    named = [load_anchor(text) for text in digit_models]
    for anchor in named:
        anchor.classes = ("bee", "ant", *map(str, range(8)))
    with pytest.raises(StitchError, match=r"Class 0 is 'ant' in .* and 'bee' for the anchors"):
        fit_run(
            RunFolder(tmp_path / "new"),
            replace(config, data=DataConfig(str(photos(tmp_path / "two")))),
            named,
        )


# Train


def test_train_writes_network_log_and_summary(fitted):
    run, records, started = RunFolder(fitted), [], []
    options = replace(QUICK, epochs=2)
    summary = train_run(
        run, data=DIGITS, options=options, seed=5, on_start=started.append, on_step=records.append
    )
    network = StitchedNetwork.from_pretrained(run.network)
    sampler = UniformSampler(network.space, seed=5)
    assert started == [10]
    assert lines(run.train_file) == [asdict(record) for record in records]
    assert [line["stitch"] for line in lines(run.train_file)] == [str(sampler(step)) for step in range(10)]
    assert [line["step"] for line in lines(run.train_file)] == list(range(10))
    assert json.loads(run.train_summary_file.read_text()) == asdict(summary)
    assert sum(summary.counts.values()) == summary.steps == 10
    assert not same_weights(run.network, run.fitted)
    assert not run.training_file.exists()
    values = run.read_config()
    assert (values["seed"], values["train"]["epochs"], values["data"]["train"]) == (5, 2, "digits:train")


def test_train_takes_the_batch_that_there_is(fitted, tmp_path):
    run, data = RunFolder(fitted), DataConfig(train=str(photos(tmp_path / "few")))
    summary = train_run(run, data=data, options=replace(QUICK, epochs=3, batch_size=1000))
    assert summary.steps == 3
    assert {line["images"] for line in lines(run.train_file)} == {16}


def test_a_run_is_trained_once_unless_told_otherwise(fitted, contents):
    run = RunFolder(fitted)
    train_run(run, data=DIGITS, options=QUICK, seed=1)
    before, weights = contents(fitted), contents(run.network)
    with pytest.raises(StitchError, match=r"is trained already\. Pass --overwrite"):
        train_run(run, data=DIGITS, options=QUICK, seed=1)
    assert contents(fitted) == before
    train_run(run, data=DIGITS, options=QUICK, seed=2, overwrite=True)
    assert contents(run.network) != weights
    train_run(run, data=DIGITS, options=QUICK, seed=1, overwrite=True)  # from the fit, not from seed 2's end
    assert contents(run.network)["model.safetensors"] == weights["model.safetensors"]


def test_training_anew_drops_the_curve_of_the_old_network(fitted):
    run = RunFolder(fitted)
    run.curve.write_text("old")
    train_run(run, data=DIGITS, options=QUICK)
    assert not run.curve.exists()


def test_a_training_that_fails_loses_nothing(fitted, corrupt, contents):
    run = RunFolder(fitted)
    train_run(run, data=DIGITS, options=QUICK)
    sweep_run(run, data=DIGITS, options=SweepConfig(images=20))
    before = contents(fitted)
    for data, options, message in (
        (DataConfig(train=str(corrupt)), replace(QUICK, batch_size=4), r"bee/3\.png does not read"),
        (DIGITS, replace(QUICK, lr=1e30, epochs=3, warmup=0.0), "The loss of .* at step"),
        (DIGITS, replace(QUICK, augment="flip"), "mirrors"),
        (DataConfig(), QUICK, "No images named"),
    ):
        with pytest.raises(StitchError, match=message):
            train_run(run, data=data, options=options, overwrite=True)
        after = contents(fitted)
        after.pop("train.jsonl.partial", None)  # the log of the failure itself
        assert after == before, message


# Sweep


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
    assert values["data"] == {"train": "digits:train", "val": "digits:val", "workers": 0, "memory": False}
    assert values["sweep"] == {"images": 50, "batch_size": 20, "stitches": None}


def test_sweep_tells_the_trained_network_from_the_fitted_one(fitted):
    run, some = RunFolder(fitted), SweepConfig(images=60)
    before = sweep_run(run, data=DIGITS, options=some)
    with pytest.raises(StitchError, match="is not trained"):
        sweep_run(run, data=DIGITS, options=some, weights="trained")
    train_run(run, data=DIGITS, options=replace(QUICK, lr=1e-2))
    after = sweep_run(run, data=DIGITS, options=some)
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
    assert sweep_run(run, data=DIGITS, options=some, weights="fitted") == before


def test_sweep_of_some_stitches_keeps_the_anchors(fitted):
    rows = sweep_run(RunFolder(fitted), data=DIGITS, options=SweepConfig(images=20, stitches=4), seed=3)
    assert len(rows) == 4
    assert [row.anchor for row in rows[:2]] == ["small", "medium"]


def test_a_sweep_that_fails_loses_nothing(measured, corrupt, contents):
    before = contents(measured)
    for data, message in ((DataConfig(val=str(corrupt)), r"bee/3\.png"), (DataConfig(), "No images named")):
        with pytest.raises(StitchError, match=message):
            sweep_run(RunFolder(measured), data=data, options=SweepConfig())
        assert contents(measured) == before


# Report and extract


def test_report_says_what_was_measured(fitted, contents):
    run = RunFolder(fitted)
    with pytest.raises(StitchError, match="No curve at"):
        report_run(run)
    # The data are named for the sweep alone, not for the fit.
    run.write_config({**run.read_config(), "data": asdict(DataConfig())})
    sweep_run(run, data=DataConfig(val="digits:val"), options=SweepConfig(images=20))
    page = report_run(run, title="Two little ones")
    text = page.read_text(encoding="utf-8")
    assert "Two little ones" in text
    assert "20 of digits:val" in text
    assert "as fitted, before training" in text
    assert {"report.html", "curve.svg", "curve.png"} <= contents(fitted).keys()
    before = contents(fitted)
    with pytest.raises(StitchError, match="is not on the curve"):
        report_run(run, chosen="small[0:1]+medium[2:3]")
    assert contents(fitted) == before


def test_extract_writes_a_module_that_equals_the_network(fitted, tmp_path, noise):
    out = tmp_path / "model"
    made = extract_run(RunFolder(fitted), "small[0:1]+medium[1:3]", out)
    network, back = StitchedNetwork.from_pretrained(fitted / "fitted"), Subnetwork.from_pretrained(out)
    images = noise(3)
    with torch.no_grad():
        expected = network(images, "small[0:1]+medium[1:3]")
        assert torch.equal(back(images), expected)
        assert torch.equal(made(images), expected)


def test_extract_refuses_what_is_not_there_and_what_is_in_use(fitted, tmp_path, contents):
    run, out = RunFolder(fitted), tmp_path / "model"
    for stitch, message in (
        ("small[0:1]+medium[0:2]", "medium has 3 blocks and must run to its last"),
        ("small[0:1]+large[1:3]", "there is no anchor 'large'"),
        ("small[0:3", "does not read"),
    ):
        with pytest.raises(StitchError, match=message):
            extract_run(run, stitch, out)
        assert not out.exists()
    (tmp_path / "file").write_text("mine")
    for used in (fitted, tmp_path / "file"):
        before = contents(tmp_path)
        with pytest.raises(StitchError, match="is not empty"):
            extract_run(run, "small", used)
        assert contents(tmp_path) == before


def test_code_of_a_run_is_not_run_unasked(digit_models, tmp_path, contents):
    file = tmp_path / "own.py"
    file.write_text(
        "from stitchable.anchors.load import load_anchor\n"
        f"def small(): return load_anchor({digit_models[0]!r})\n"
        f"def medium(): return load_anchor({digit_models[1]!r})\n"
    )
    run = RunFolder(tmp_path / "own")
    fit_run(
        run, RunConfig(anchors=[f"{file}:small", f"{file}:medium"], data=DIGITS, fit=FitConfig(images=30))
    )
    assert [path.read_text() for path in (run.fitted / "architectures").iterdir()] == [file.read_text()]
    before = contents(run.path)
    for step in (
        lambda trust: sweep_run(run, data=DIGITS, options=SweepConfig(images=10), trust_code=trust),
        lambda trust: extract_run(run, "small", tmp_path / "model", trust_code=trust),
        lambda trust: train_run(run, data=DIGITS, options=QUICK, trust_code=trust),
    ):
        with pytest.raises(StitchError, match=r"brings its own architecture file .*--trust_code"):
            step(False)
        assert contents(run.path) == before
        assert not (tmp_path / "model").exists()
        step(True)
        before = contents(run.path)
        shutil.rmtree(tmp_path / "model", ignore_errors=True)


@pytest.mark.parametrize("damage", ["truncated", "missing", "other"])
def test_broken_weights_of_a_run_are_named(fitted, tmp_path, contents, damage):
    weights = fitted / "fitted" / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(b"PK\x03\x04 this is a zip")
    before, run = contents(fitted), RunFolder(fitted)
    for step in (
        lambda: sweep_run(run, data=DIGITS, options=SweepConfig()),
        lambda: train_run(run, data=DIGITS, options=QUICK),
        lambda: extract_run(run, "small", tmp_path / "model"),
    ):
        with pytest.raises(StitchError, match=r"model\.safetensors"):
            step()
        assert contents(fitted) == before
        assert not (tmp_path / "model").exists()
