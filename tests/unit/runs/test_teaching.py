import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from stitchable.anchors.load import load_anchor
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.training.guard_options import GuardOptions
from stitchable.training.objective_options import ObjectiveOptions

DISTILLING = ObjectiveOptions(cross_entropy=0.0, soft_distillation=1.0)


@pytest.mark.parametrize("teacher", ["small", "folder"])
def test_the_first_loss_is_the_divergence_from_the_teacher(
    fitted, digits, quick, lines, digit_models, teacher
):
    run = RunFolder(fitted)
    text = teacher if teacher == "small" else f"other={digit_models[0]}"
    options = replace(quick, objective=replace(DISTILLING, teacher=text), batch_size=1000)
    train_run(run, data=digits, options=options, seed=3)
    (line,) = lines(run.train_file)[:1]
    network, small = StitchedNetwork.from_pretrained(run.fitted), load_anchor(digit_models[0])
    from stitchable.data.loader import image_loader
    from stitchable.data.sources import open_images

    source = open_images("digits:train")
    loader = image_loader(source, network.input_spec, batch_size=1000, shuffle_seed=3, drop_last=False)
    images = next(iter(loader))[0][: line["images"]]
    with torch.no_grad():
        ours, theirs = network(images, line["stitches"][0]).log_softmax(1), small(images).log_softmax(1)
    assert line["loss"] == pytest.approx((theirs.exp() * (theirs - ours)).sum(1).mean().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("smal", r"No teacher 'smal'\. Nearest: small"),
        ("nowhere/at/all", "No folder nowhere/at/all"),
        ("x=resnet18", "has no weights"),
        ("resnet18@random", r"The teacher resnet18 takes other images than the anchors"),
    ],
)
def test_a_teacher_that_is_none(fitted, digits, quick, contents, teacher, message):
    before = contents(fitted)
    options = replace(quick, objective=replace(DISTILLING, teacher=teacher))
    with pytest.raises(StitchError, match=message):
        train_run(RunFolder(fitted), data=digits, options=options)
    assert contents(fitted) == before


def test_the_guard_s_log_says_what_the_curve_says(fitted, digits, quick, lines):
    run = RunFolder(fitted)
    options = replace(quick, lr=1e-2, guard=GuardOptions(every=5, images=100))
    summary = train_run(run, data=digits, options=options)
    rows = {
        row.anchor: row for row in sweep_run(run, data=digits, options=SweepConfig(images=100)) if row.anchor
    }
    logged = {line["anchor"]: line for line in lines(run.guard_file)}
    assert logged.keys() == rows.keys() == {"small", "medium"}
    for name, row in rows.items():
        assert logged[name]["step"] == 5
        assert logged[name]["top1"] == pytest.approx(row.top1)
        assert logged[name]["original_top1"] == pytest.approx(row.original_top1)
        assert summary.anchor_drops[name] == logged[name]["drop"]
    assert json.loads(run.train_summary_file.read_text())["anchor_drops"] == summary.anchor_drops
    assert not run.guarding_file.exists()
    assert run.read_config()["train"]["guard"] == asdict(options.guard)


def test_images_set_aside_are_not_trained_on(fitted, digits, quick, lines):
    run = RunFolder(fitted)
    guard = GuardOptions(every=1, images=400, split="train")
    train_run(run, data=DataConfig(train=digits.train), options=replace(quick, batch_size=5000, guard=guard))
    whole = RunFolder(fitted)
    assert {line["images"] for line in lines(run.guard_file)} == {400}
    aside = lines(run.train_file)[0]["images"]
    train_run(whole, data=digits, options=replace(quick, batch_size=5000), overwrite=True)
    assert lines(run.train_file)[0]["images"] == aside + 400
    assert not run.guard_file.exists()  # it was another training's


def test_the_guard_needs_images(fitted, digits, quick):
    options = replace(quick, guard=GuardOptions(every=1))
    with pytest.raises(StitchError, match=r"none are named\. Give --data\.val, or set"):
        train_run(RunFolder(fitted), data=DataConfig(train=digits.train), options=options)


def test_a_stop_keeps_the_last_good_network(fitted, digits, quick, same_weights, contents):
    run = RunFolder(fitted)
    before = contents(fitted)
    guard = GuardOptions(every=1, limit=0.0, stop=True, images=200)
    options = replace(quick, lr=0.3, epochs=10, warmup=0.0, optimizer="sgd", clip_norm=1.0, guard=guard)
    with pytest.raises(StitchError, match=r"Anchor (small|medium) lost .* It is kept in .*stopped\.$"):
        train_run(run, data=digits, options=options)
    assert not run.is_trained
    after = contents(fitted)
    assert {key: value for key, value in after.items() if key in before} == before
    lines = [json.loads(line) for line in run.guarding_file.read_text().splitlines()]
    assert max(line["drop"] for line in lines[-2:]) > 0
    assert max([line["drop"] for line in lines[:-2]], default=0) <= 0
    assert same_weights(run.stopped, run.fitted) == (len(lines) == 2)


def test_a_low_rank_run_reads_back(fitted, digits, quick, contents):
    run = RunFolder(fitted)
    train_run(run, data=digits, options=replace(quick, tune="low_rank_layers", rank=1, lr=1e-2))
    trained, before = (
        StitchedNetwork.from_pretrained(each).state_dict() for each in (run.network, run.fitted)
    )
    assert trained.keys() == before.keys()
    for key, value in trained.items():
        assert key.startswith("layers.") or torch.equal(value, before[key])
    name = next(key for key in trained if key.endswith("projection.weight"))
    assert not torch.equal(trained[name], before[name])
    assert Path(run.network, "config.json").is_file()


@pytest.mark.parametrize(("every", "steps"), [(3, [3, 5]), (5, [5]), (2, [2, 4, 5]), (9, [5])])
def test_the_guard_measures_what_is_saved(fitted, digits, quick, lines, every, steps):
    run = RunFolder(fitted)
    options = replace(quick, lr=1e-2, guard=GuardOptions(every=every, images=100))
    summary = train_run(run, data=digits, options=options)
    logged = lines(run.guard_file)
    assert [line["step"] for line in logged if line["anchor"] == "small"] == steps
    rows = sweep_run(run, data=digits, options=SweepConfig(images=100, stitches=2))
    assert summary.anchor_drops == {row.anchor: pytest.approx(row.original_top1 - row.top1) for row in rows}


def test_a_limit_is_kept_at_the_last_step_too(fitted, digits, quick):
    """Nine steps are more than the training has, and yet what it would save is held against the limit."""
    guard = GuardOptions(every=9, images=100, limit=0.0, stop=True)
    with pytest.raises(StitchError, match=r"lost .* points after 5 steps; .* is that after 0 steps"):
        train_run(RunFolder(fitted), data=digits, options=replace(quick, lr=0.1, guard=guard))
    assert not RunFolder(fitted).is_trained


def test_fewer_images_than_a_batch_are_told(fitted, digits, quick):
    notes = []
    options = replace(quick, batch_size=1001)
    train_run(RunFolder(fitted), data=digits, options=options, on_note=notes.append)
    assert notes == ["train.batch_size is 1,001, and the 1,000 training images make one smaller batch"]


def test_a_guard_that_would_steer_too_late_is_refused(fitted, digits, quick, contents):
    before, guard = contents(fitted), GuardOptions(every=5, images=100, limit=1.0)
    with pytest.raises(StitchError, match=r"train\.guard\.every is 5 and the training has 5 steps"):
        train_run(RunFolder(fitted), data=digits, options=replace(quick, guard=guard))
    assert contents(fitted) == before
