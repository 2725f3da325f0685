"""What a training's options only name: it does not go on with something else of the same name."""

import os
import shutil
import signal
from dataclasses import replace

import pytest

from stitchable.errors import Interrupted, StitchError
from stitchable.runs.folder import RunFolder
from stitchable.runs.train import train_run
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.guard_options import GuardOptions
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.samplers.options import SamplerOptions


@pytest.fixture
def cut_off(fitted, digits):
    """Makes a run whose training was cut off after two of its five steps."""

    def on_step(record):
        if record.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def made(options):
        with pytest.raises(Interrupted):
            train_run(RunFolder(fitted), data=digits, options=options, on_step=on_step)
        return RunFolder(fitted)

    return made


@pytest.fixture
def refused(contents):
    def check(run, reason, **named):
        before = contents(run.path)
        with pytest.raises(StitchError, match=f"would not go on as it began: .*{reason}"):
            train_run(run, **named)
        assert contents(run.path) == before

    return check


def test_another_schedule_in_the_same_file(cut_off, refused, digits, quick, tmp_path, lines):
    file = tmp_path / "steps.txt"
    file.write_text("small\n")
    options = replace(quick, sampler=SamplerOptions(kind="schedule", file=str(file)))
    run = cut_off(options)
    file.write_text("medium\n")
    refused(run, "the text of train.sampler.file was .*, now ", data=digits, options=options)
    file.write_text("small\n")
    train_run(run, data=digits, options=options)
    assert [line["stitches"] for line in lines(run.train_file)] == [["small[0:3]"]] * 5


def test_another_teacher_in_the_same_folder(cut_off, refused, digits, quick, tmp_path, digit_models):
    # Two of the digits' models have the same classes and images, so either could teach.
    teacher = shutil.copytree(digit_models[0], tmp_path / "teacher")
    objective = ObjectiveOptions(soft_distillation=1.0, teacher=f"other={teacher}")
    options = replace(quick, objective=objective)
    run = cut_off(options)
    shutil.copytree(digit_models[1], teacher, dirs_exist_ok=True)
    refused(run, "the weights of train.objective.teacher was .*, now ", data=digits, options=options)
    shutil.copytree(digit_models[0], teacher, dirs_exist_ok=True)
    train_run(run, data=digits, options=options)
    assert run.is_trained


@pytest.mark.parametrize(
    "asks",
    [{"guard": GuardOptions(every=2, images=40)}, {"checkpoint": CheckpointOptions(probe_images=40)}],
    ids=["guard", "probe"],
)
def test_other_held_out_images(cut_off, refused, digits, quick, asks):
    options = replace(quick, **asks)
    run = cut_off(options)
    other = replace(digits, val="digits:train")
    refused(run, "data.val was digits:val, now digits:train", data=other, options=options)
    train_run(run, data=digits, options=options)
    assert run.is_trained


def test_held_out_images_that_nobody_looks_at_may_change(cut_off, digits, quick):
    run = cut_off(quick)
    train_run(run, data=replace(digits, val=None), options=quick)
    assert run.is_trained


def test_another_number_of_the_probe_s_images(cut_off, refused, digits, quick):
    fewer, more = (replace(quick, checkpoint=CheckpointOptions(probe_images=each)) for each in (20, 40))
    run = cut_off(fewer)
    refused(run, "train.checkpoint.probe_images was 20, now 40", data=digits, options=more)
