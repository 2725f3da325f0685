import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from stitchable.errors import Interrupted
from stitchable.runs.folder import RunFolder
from stitchable.runs.train import train_run
from stitchable.tracking.options import TrackOptions
from stitchable.training.checkpoint import checkpoints
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.guard_options import GuardOptions


def stop_after(step):
    def on_step(record):
        if record.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return on_step


def test_a_training_that_is_followed_goes_on_and_comes_to_the_same(fitted, digits, quick, lines, tmp_path):
    """Followed from its third step on, cut off, and gone on with from a step that was told already."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, track = RunFolder(fitted), TrackOptions("tensorboard", every=1)
    guard = GuardOptions(every=2, images=50)
    options = replace(quick, epochs=2, guard=guard, checkpoint=CheckpointOptions(every_steps=1))
    whole = RunFolder(shutil.copytree(fitted, tmp_path / "whole"))
    train_run(whole, data=digits, options=options)
    for step, followed in ((1, None), (5, track)):
        with pytest.raises(Interrupted):
            train_run(run, data=digits, options=options, track=followed, on_step=stop_after(step))
    shutil.rmtree(checkpoints(run.checkpoints)[0])
    train_run(run, data=digits, options=options, track=track)
    weights = Path("network") / "model.safetensors"
    assert (run.path / weights).read_bytes() == (whole.path / weights).read_bytes()
    events = EventAccumulator(str(run.tracking / "tensorboard" / "1")).Reload()
    told = lines(run.train_file)
    assert [point.step for point in events.Scalars("loss")] == [line["step"] + 1 for line in told[2:]]
    assert [point.value for point in events.Scalars("loss")] == pytest.approx(
        [line["loss"] for line in told[2:]]
    )
    drops = [line for line in lines(run.guard_file) if line["anchor"] == "small" and line["step"] > 2]
    points = events.Scalars("anchor_drop/small")
    assert [(point.step, point.value) for point in points] == [
        (line["step"], pytest.approx(line["drop"])) for line in drops
    ]
    assert run.read_config()["track"]["to"] == "tensorboard"
