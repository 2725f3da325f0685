import json
from dataclasses import asdict, replace

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.report import report_run
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.samplers.options import SamplerOptions
from stitchable.training.samplers.uniform import UniformSampler


def test_train_writes_network_log_and_summary(fitted, digits, quick, same_weights, lines):
    run, records, started = RunFolder(fitted), [], []
    options = replace(quick, epochs=2)
    summary = train_run(
        run, data=digits, options=options, seed=5, on_start=started.append, on_step=records.append
    )
    network = StitchedNetwork.from_pretrained(run.network)
    sampler = UniformSampler(network.space, seed=5)
    assert started == [10]
    assert lines(run.train_file) == [asdict(record) for record in records]
    assert [line["stitches"] for line in lines(run.train_file)] == [
        [str(*sampler(step))] for step in range(10)
    ]
    assert [line["step"] for line in lines(run.train_file)] == list(range(10))
    assert json.loads(run.train_summary_file.read_text()) == asdict(summary)
    assert sum(summary.counts.values()) == summary.steps == 10
    assert not same_weights(run.network, run.fitted)
    assert not run.training_file.exists()
    values = run.read_config()
    assert (values["seed"], values["train"]["epochs"], values["data"]["train"]) == (5, 2, "digits:train")


def test_train_follows_the_sampler_of_its_options(fitted, digits, quick, lines, tmp_path):
    schedule = tmp_path / "steps.txt"
    schedule.write_text("# ends first\nmedium small\nsmall[0:1]+medium[1:3]\n")
    run = RunFolder(fitted)
    summary = train_run(
        run,
        data=digits,
        options=replace(quick, sampler=SamplerOptions(kind="schedule", file=str(schedule))),
    )
    steps = [["medium[0:3]", "small[0:3]"], ["small[0:1]+medium[1:3]"]]
    logged = lines(run.train_file)
    assert [line["stitches"] for line in logged] == [steps[step % 2] for step in range(summary.steps)]
    assert all(len(line["losses"]) == len(line["stitches"]) for line in logged)
    assert summary.macs_run == summary.macs_alone  # the two anchors share nothing
    assert run.read_config()["train"]["sampler"]["file"] == str(schedule)


def test_a_sampler_that_does_not_fit_the_network_is_refused(fitted, digits, quick, contents, tmp_path):
    before = contents(fitted)
    (tmp_path / "steps.txt").write_text("small\nlarge\n")
    for sampler, message in (
        (SamplerOptions(kind="schedule", file=str(tmp_path / "steps.txt")), r"steps\.txt, line 2: "),
        (SamplerOptions(stitches_per_step=1000), "stitches_per_step must be at most the"),
        (SamplerOptions(kind="sandwich", random=1000), "random must be at most the"),
    ):
        with pytest.raises(StitchError, match=message):
            train_run(RunFolder(fitted), data=digits, options=replace(quick, sampler=sampler))
    assert contents(fitted) == before


def test_the_log_tells_the_terms_of_which_the_loss_is_the_weighted_sum(fitted, digits, quick, lines):
    run, weights = (
        RunFolder(fitted),
        {"cross_entropy": 0.5, "soft_distillation": 2.0, "feature_matching": 0.25},
    )
    objective = ObjectiveOptions(teacher="medium", **weights)
    train_run(run, data=digits, options=replace(quick, accumulate=2, objective=objective))
    for line in lines(run.train_file):
        assert line["terms"].keys() == weights.keys()
        told = sum(weights[name] * value for name, value in line["terms"].items())
        assert line["loss"] == pytest.approx(told, rel=1e-5)


def test_train_takes_the_batch_that_there_is(fitted, tmp_path, quick, lines, photos):
    run, data = RunFolder(fitted), DataConfig(train=str(photos("few")))
    summary = train_run(run, data=data, options=replace(quick, epochs=3, batch_size=1000))
    assert summary.steps == 3
    assert {line["images"] for line in lines(run.train_file)} == {16}


def test_a_run_is_trained_once_unless_told_otherwise(fitted, contents, digits, quick):
    run = RunFolder(fitted)
    train_run(run, data=digits, options=quick, seed=1)
    before, weights = contents(fitted), contents(run.network)
    with pytest.raises(StitchError, match=r"is trained already\. Pass --overwrite"):
        train_run(run, data=digits, options=quick, seed=1)
    assert contents(fitted) == before
    train_run(run, data=digits, options=quick, seed=2, overwrite=True)
    assert contents(run.network) != weights
    train_run(run, data=digits, options=quick, seed=1, overwrite=True)  # from the fit, not from seed 2's end
    assert contents(run.network)["model.safetensors"] == weights["model.safetensors"]


def test_training_anew_drops_the_page_of_the_old_network(fitted, digits, quick):
    run, notes = RunFolder(fitted), []
    pages = (run.report, *run.figures)

    def measure():
        sweep_run(run, data=digits, options=SweepConfig(images=20), on_note=notes.append)
        report_run(run)

    measure()
    train_run(run, data=digits, options=quick)
    assert all(page.is_file() for page in pages)  # of the fitted network, which is there still
    measure()
    train_run(run, data=digits, options=quick, overwrite=True)
    assert not any(page.exists() for page in pages)
    assert notes == []


@pytest.mark.parametrize(
    ("left", "told"), [("checkpoints/step_3", "unfinished"), ("stopped", "guard stopped")]
)
def test_a_sweep_says_what_else_lies_there(fitted, digits, left, told):
    run, notes = RunFolder(fitted), []
    (run.path / left).mkdir(parents=True)
    sweep_run(run, data=digits, options=SweepConfig(images=20), on_note=notes.append)
    assert len(notes) == 1
    assert told in notes[0]
    assert str(run.path / left.split("/")[0]) in notes[0]


def test_training_anew_drops_the_curve_of_the_old_network(fitted, digits, quick):
    run = RunFolder(fitted)
    run.curve.write_text("old")
    train_run(run, data=digits, options=quick)
    assert not run.curve.exists()


def test_a_training_that_fails_loses_nothing(fitted, corrupt, contents, digits, quick):
    run = RunFolder(fitted)
    train_run(run, data=digits, options=quick)
    sweep_run(run, data=digits, options=SweepConfig(images=20))
    before = contents(fitted)
    for data, options, message in (
        (
            DataConfig(train=str(corrupt), corrupt_limit=0),
            replace(quick, batch_size=4),
            r"bee/3\.png does not read",
        ),
        (digits, replace(quick, lr=1e30, epochs=3, warmup=0.0), "The loss of .* at step"),
        (digits, replace(quick, augment="flip"), "mirrors"),
        (DataConfig(), quick, "No images named"),
    ):
        with pytest.raises(StitchError, match=message):
            train_run(run, data=data, options=options, overwrite=True)
        after = contents(fitted)
        after.pop("train.jsonl.partial", None)  # the log of the failure itself
        assert after == before, message


@pytest.mark.parametrize("tune", ["all", "all_norms", "low_rank"])
def test_the_anchors_that_are_saved_may_lie_on_the_way(fitted, digits, quick, tune):
    """Two trainings of the same seed: at 0.25 every anchor is a quarter of the way to the trained one."""
    run, options = RunFolder(fitted), replace(quick, lr=1e-2, tune=tune)
    train_run(run, data=digits, options=options)
    whole = StitchedNetwork.from_pretrained(run.network).state_dict()
    asked = replace(options, interpolation=0.25, checkpoint=CheckpointOptions(probe_images=20))
    train_run(run, data=digits, options=asked, overwrite=True)
    part = StitchedNetwork.from_pretrained(run.network).state_dict()
    start = StitchedNetwork.from_pretrained(run.fitted).state_dict()
    best = StitchedNetwork.from_pretrained(run.best).state_dict()  # of one epoch, the last
    assert all(torch.equal(best[key], each) for key, each in part.items())
    assert part.keys() == whole.keys() >= start.keys()
    for key, after in whole.items():
        if key.startswith("anchors."):
            expected = start[key] + 0.25 * (after - start[key])
            torch.testing.assert_close(part[key], expected, rtol=1e-5, atol=1e-7)
            assert not torch.equal(start[key], after) or torch.equal(part[key], after), key
        else:
            assert torch.equal(part[key], after), key
    assert sum(not torch.equal(start[key], whole[key]) for key in start) > 10
