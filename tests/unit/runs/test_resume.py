import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from stitchable.errors import Interrupted, StitchError
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.extract import extract_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.runs.training_logs import cut_log
from stitchable.training.checkpoint import checkpoints
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.guard_options import GuardOptions
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.samplers.options import SamplerOptions

EVERY = CheckpointOptions(every_steps=1, keep=2)


@pytest.fixture
def options(quick):
    """Two epochs of five steps, a checkpoint after each."""
    return replace(quick, epochs=2, lr=1e-2, augment="crop", ema=0.9, checkpoint=EVERY)


@pytest.fixture
def outcome(lines):
    """What a training leaves, but for the seconds."""

    def read(path):
        run = RunFolder(path)
        summary = json.loads(run.train_summary_file.read_text())
        assert not run.training_file.exists()
        assert not run.checkpoints.exists()
        return (
            (run.network / "model.safetensors").read_bytes(),
            [{**line, "seconds": None} for line in lines(run.train_file)],
            {**summary, "seconds": None},
            run.read_config()["train"],
        )

    return read


@pytest.fixture
def whole(fitted, tmp_path, digits, options, outcome):
    """What a training comes to that nobody interrupts."""
    path = Path(shutil.copytree(fitted, tmp_path / "whole"))
    train_run(RunFolder(path), data=digits, options=options, seed=3)
    return outcome(path)


def stop_after(step, number=signal.SIGTERM):
    def on_step(record):
        if record.step == step:
            os.kill(os.getpid(), number)

    return on_step


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_again_and_again_it_comes_to_the_same(fitted, digits, options, outcome, whole, number):
    run, notes, before = RunFolder(fitted), [], signal.getsignal(number)
    for step in (0, 3, 4, 8, 9):  # the first, the last of an epoch, the last of all
        with pytest.raises(Interrupted, match=rf"after {step + 1} steps") as left:
            train_run(
                run,
                data=digits,
                options=options,
                seed=3,
                on_step=stop_after(step, number),
                on_note=notes.append,
            )
        assert left.value.signal == number
        assert not run.is_trained
        assert signal.getsignal(number) is before
    # Who reads the images, where they are held, and when checkpoints are written decide nothing.
    data = replace(digits, workers=1, memory=True)
    later = replace(options, checkpoint=CheckpointOptions(every_minutes=1.0))
    train_run(run, data=data, options=later, seed=3, on_note=notes.append)
    assert outcome(fitted)[:3] == whole[:3]
    assert [int(note.split()[4].rstrip(",")) for note in notes] == [1, 4, 5, 9, 10]


def test_all_that_remembers_goes_on_too(fitted, tmp_path, digits, options, outcome, lines):
    everything = replace(
        options,
        tune="low_rank",
        rank=2,
        batch_size=64,
        accumulate=2,
        sampler=SamplerOptions(kind="front", stitches_per_step=2),
        objective=ObjectiveOptions(soft_distillation=1.0, teacher="end_anchor", mixup=0.5),
        guard=GuardOptions(every=3, images=40, split="train", limit=0.5),
        interpolation=0.7,
    )
    path = Path(shutil.copytree(fitted, tmp_path / "whole"))
    train_run(RunFolder(path), data=digits, options=everything, seed=3)
    run, steps = RunFolder(fitted), len(lines(path / "train.jsonl"))
    for step in (0, 2, 3, 7, steps - 1):  # two of them right after a measurement
        with pytest.raises(Interrupted):
            train_run(run, data=digits, options=everything, seed=3, on_step=stop_after(step))
    train_run(run, data=digits, options=everything, seed=3)
    assert outcome(fitted) == outcome(path)
    assert run.guard_file.read_text() == (path / "guard.jsonl").read_text()
    assert len(lines(run.guard_file)) == 2 * (steps // 3) > 0  # two anchors


def test_norms_that_joints_own_go_on_too(fitted, tmp_path, digits, options, outcome, lines):
    chosen = replace(options, tune="norms", guard=GuardOptions(every=4, images=40, split="train"))
    path = Path(shutil.copytree(fitted, tmp_path / "whole"))
    train_run(RunFolder(path), data=digits, options=chosen, seed=3)
    run = RunFolder(fitted)
    for step in (2, 6):
        with pytest.raises(Interrupted):
            train_run(run, data=digits, options=chosen, seed=3, on_step=stop_after(step))
    train_run(run, data=digits, options=chosen, seed=3)
    assert outcome(fitted) == outcome(path)
    assert {record["drop"] for record in lines(run.guard_file)} == {0.0}
    # What was trained is measured, and the same is extracted.
    rows = sweep_run(run, data=digits, options=SweepConfig(images=40))
    assert [row.top1 for row in rows if row.anchor] == [row.original_top1 for row in rows if row.anchor]
    back = extract_run(run, rows[-1].stitch, tmp_path / "out")
    assert sum(parameter.numel() for parameter in back.parameters()) == rows[-1].params


def test_cut_off_while_it_puts_its_things_away_it_still_comes_to_the_same(
    fitted, digits, options, outcome, whole, monkeypatch
):
    run = RunFolder(fitted)
    for name in ("save_pretrained", "write_config", "remove_checkpoints"):

        def fail(*arguments, **named):
            raise OSError("the power is gone")

        with monkeypatch.context() as patch:
            if name == "save_pretrained":
                patch.setattr(StitchedNetwork, name, fail)
            elif name == "write_config":
                patch.setattr(RunFolder, name, fail)
            else:
                # Only at the end: at the beginning there is nothing to remove from a training that goes on.
                patch.setattr("stitchable.runs.train.remove_checkpoints", fail)
            with pytest.raises(OSError, match="the power is gone"):
                train_run(run, data=digits, options=options, seed=3)
        assert checkpoints(run.checkpoints)
    train_run(run, data=digits, options=options, seed=3)
    assert outcome(fitted) == whole


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(fitted, digits, options, outcome, whole):
    run, notes = RunFolder(fitted), []
    with pytest.raises(Interrupted):
        train_run(run, data=digits, options=options, seed=3, on_step=stop_after(6))
    newest = checkpoints(run.checkpoints)[0] / "tensors.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    (run.checkpoints / "step_000000009.partial").mkdir()
    with run.training_file.open("a") as log:
        log.write('{"step": 7, "epo')  # the line that was being written
    train_run(run, data=digits, options=options, seed=3, on_note=notes.append)
    assert "step_000000007 is damaged" in notes[0]
    assert "going on after step 6" in notes[1]
    assert outcome(fitted) == whole


def test_what_would_not_be_exact_is_refused_with_the_reason(fitted, digits, options, contents):
    run = RunFolder(fitted)
    with pytest.raises(Interrupted):
        train_run(run, data=digits, options=options, seed=3, on_step=stop_after(2))
    before = contents(fitted)
    for changed, reason in (
        ({"options": replace(options, lr=2e-2)}, "train.lr was 0.01, now 0.02"),
        (
            {"options": replace(options, epochs=3, ema=None)},
            "train.ema was 0.9, now None; train.epochs was 2, now 3",
        ),
        ({"seed": 4}, "seed was 3, now 4"),
        ({"data": DataConfig(train="digits:val")}, "data.train was digits:train, now digits:val"),
    ):
        with pytest.raises(StitchError) as error:
            train_run(run, **{"data": digits, "options": options, "seed": 3, **changed})
        assert reason in str(error.value)
        assert "begin anew with --resume never" in str(error.value)
        assert contents(fitted) == before


def test_another_version_or_number_of_processes_is_refused_and_other_threads_are_noted(
    fitted, digits, options, monkeypatch
):
    run, notes = RunFolder(fitted), []
    with pytest.raises(Interrupted):
        train_run(run, data=digits, options=options, seed=3, on_step=stop_after(2))
    with monkeypatch.context() as patch:
        patch.setattr("stitchable.runs.resume.__version__", "99.0")
        with pytest.raises(StitchError, match=r"stitchable was .*, now 99\.0"):
            train_run(run, data=digits, options=options, seed=3)
    with monkeypatch.context() as patch:
        patch.setattr("torch.get_num_threads", lambda: 64)
        train_run(run, data=digits, options=options, seed=3, on_note=notes.append)
    assert "the last bits may differ from those of one go: threads was 1, now 64" in notes[1]


def test_a_disk_that_fills_up_stops_it_and_with_room_again_it_goes_on(
    fitted, digits, options, outcome, whole, full_disk
):
    run = RunFolder(fitted)
    with ExitStack() as stack:

        def on_step(record):
            if record.step == 3:
                stack.enter_context(full_disk(2000))

        with pytest.raises(
            StitchError,
            match=r"checkpoints cannot be written: .*The last good checkpoint is .*step_000000003\.",
        ):
            train_run(run, data=digits, options=options, seed=3, on_step=on_step)
    assert len(list(run.checkpoints.iterdir())) == 2
    train_run(run, data=digits, options=options, seed=3)
    assert outcome(fitted) == whole


def test_a_log_that_cannot_grow_is_named(fitted, digits, options, full_disk):
    never = replace(options, checkpoint=CheckpointOptions(keep=0))
    with full_disk(300), pytest.raises(StitchError, match=r"train\.jsonl\.partial cannot be written: "):
        train_run(RunFolder(fitted), data=digits, options=never)


def test_never_begins_anew(fitted, digits, options, outcome, whole):
    run, notes = RunFolder(fitted), []
    with pytest.raises(Interrupted):
        train_run(run, data=digits, options=replace(options, lr=1.0), seed=9, on_step=stop_after(2))
    train_run(run, data=digits, options=options, seed=3, resume="never", on_note=notes.append)
    assert notes == []
    assert outcome(fitted) == whole


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(fitted, digits, options):
    run = RunFolder(fitted)
    with pytest.raises(
        StitchError, match=r"at step .*\. Lower train\.lr.*The last good checkpoint is .*step_"
    ) as error:
        train_run(run, data=digits, options=replace(options, optimizer="sgd", lr=1e18, warmup=0.0), seed=3)
    kept = checkpoints(run.checkpoints)
    assert str(kept[0]) in str(error.value)


def test_the_best_epoch_is_kept_where_a_probe_is_asked_for(fitted, digits, options, lines):
    run = RunFolder(fitted)
    asked = replace(options, epochs=3, checkpoint=CheckpointOptions(probe_images=50))
    train_run(run, data=digits, options=asked, seed=3)
    told = json.loads((run.best / "probe.json").read_text())
    best = StitchedNetwork.from_pretrained(run.best)
    assert told["images"] == 50
    assert {"small[0:3]", "medium[0:3]"} <= set(told["stitches"])
    # The loss again, by torch on the first fifty held-out images.
    import torch

    from stitchable.data.digits import digits as read

    images, labels = read("val")
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(best((images[:50] - 0.5) / 0.5, each), labels[:50])
            for each in told["stitches"]
        ]
    assert told["loss"] == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)
    train_run(run, data=digits, options=options, seed=3, overwrite=True)
    assert not run.best.exists()  # it was another training's


@pytest.mark.parametrize(
    ("text", "steps", "left"),
    [("a\nb\nc\n", 2, "a\nb\n"), ("a\nb\nc", 3, "a\nb\n"), ("a\nb\n", 0, ""), ("a\n", 5, "a\n")],
)
def test_a_log_is_cut_to_whole_lines(tmp_path, text, steps, left):
    path = tmp_path / "log"
    path.write_text(text)
    assert cut_log(path, steps) == left.count("\n")
    assert path.read_text() == left
    assert cut_log(tmp_path / "none", 3) == 0


# In a process of its own


def command(run):
    words = ["--train.epochs=30", "--train.batch_size=100", "--train.augment=none", "--data.memory=true"]
    every = "--train.checkpoint.every_steps=1"
    return [sys.executable, "-m", "stitchable", "train", str(run), *words, every, "--device=cpu"]


@pytest.fixture
def started(fitted):
    """A training in another process, in the middle."""
    process = subprocess.Popen(command(fitted), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = RunFolder(fitted).training_file
    while process.poll() is None and (not log.is_file() or log.read_bytes().count(b"\n") < 5):
        time.sleep(0.005)
    yield process
    process.kill()
    process.communicate()


def test_killed_it_goes_on_to_the_same(started, fitted, tmp_path, measured_template, digits, quick, outcome):
    import shutil

    started.kill()
    assert started.wait() == -signal.SIGKILL
    run, notes = RunFolder(fitted), []
    assert not run.is_trained
    options = replace(quick, epochs=30, batch_size=100)
    often = replace(options, checkpoint=CheckpointOptions(every_steps=1))
    train_run(run, data=digits, options=often, device="cpu", on_note=notes.append)
    assert "going on after step" in notes[-1]
    whole = Path(shutil.copytree(measured_template, tmp_path / "whole"))
    train_run(RunFolder(whole), data=digits, options=options, device="cpu")
    assert outcome(fitted)[:3] == outcome(whole)[:3]


def test_terminated_it_says_how_to_go_on(started, fitted):
    started.terminate()
    told = started.communicate()[1]
    assert started.returncode == 143
    assert told.startswith("stitchable: Interrupted after ")
    assert "The same command again goes on from there." in told
    assert len(told.splitlines()) == 1
    assert checkpoints(RunFolder(fitted).checkpoints)
