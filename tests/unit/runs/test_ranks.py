"""`train_run` in several processes: the same files as one process leaves, and one writer."""

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
import torch

from stitchable.data.sources import open_images
from stitchable.errors import Interrupted, StitchError
from stitchable.network import StitchedNetwork
from stitchable.ranks import Ranks
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import check_shares
from stitchable.runs.resume import checkpoint_to_go_on_from, identity_of, ties_to_processes
from stitchable.runs.train import train_run
from stitchable.training.checkpoint import Checkpoint, write_checkpoint
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.guard_options import GuardOptions
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.options import SamplerOptions

DIGITS = DataConfig(train="digits:train", val="digits:val")
FRONT = SamplerOptions(kind="front", stitches_per_step=2)
ALIKE = TrainOptions(
    epochs=1,
    batch_size=201,
    optimizer="sgd",  # AdamW makes a full step of a key's bias, whose gradient is nothing but rounding
    lr=1e-2,
    augment="crop",
    sampler=FRONT,
    guard=GuardOptions(every=3, images=41, limit=50.0),
    checkpoint=CheckpointOptions(every_steps=2, probe_images=31),
)
OWN = replace(
    ALIKE,
    batch_size=200,
    sampler=replace(FRONT, per_rank=True),
    objective=ObjectiveOptions(cross_entropy=1.0, mixup=0.4),
)


def _train(ranks, folder):
    """Both ways of training, one of them stopped in one process and gone on with."""
    train_run(RunFolder(folder / "alike"), data=DIGITS, options=ALIKE, seed=3, device="cpu")
    train_run(RunFolder(folder / "own"), data=DIGITS, options=OWN, seed=3, device="cpu")
    cut, told = RunFolder(folder / "cut"), []

    def stop(record):
        if record.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    for on_step in (stop, None):
        try:
            train_run(
                cut,
                data=DIGITS,
                options=OWN,
                seed=3,
                device="cpu",
                on_step=on_step,
                on_note=told.append,
            )
        except Interrupted as error:
            told.append(str(error))
    (folder / f"told{ranks.rank}.json").write_text(json.dumps(told))


@pytest.fixture
def together(measured_template, tmp_path, in_processes):
    """Three runs that two processes trained."""
    for name in ("alike", "own", "cut", "one"):
        shutil.copytree(measured_template, tmp_path / name)
    in_processes(2, _train, tmp_path)
    return tmp_path


def weights(path):
    return StitchedNetwork.from_pretrained(RunFolder(path).network).state_dict()


def test_two_processes_leave_what_one_leaves(together, lines, contents):
    one, two = RunFolder(together / "one"), RunFolder(together / "alike")
    train_run(one, data=DIGITS, options=ALIKE, seed=3, device="cpu")
    assert contents(one.path).keys() == contents(two.path).keys()
    for name, value in weights(one.path).items():
        torch.testing.assert_close(value, weights(two.path)[name], rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(lines(one.train_file), lines(two.train_file), strict=True):
        for key in ("step", "epoch", "stitches", "images", "lr", "layer_lr"):
            assert ours[key] == theirs[key]
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-4)
    for ours, theirs in zip(lines(one.guard_file), lines(two.guard_file), strict=True):
        assert {**ours, "top1": 0, "drop": 0} == {**theirs, "top1": 0, "drop": 0}
        assert theirs["images"] == 41
        assert ours["top1"] == pytest.approx(theirs["top1"], abs=100 / 41)
    first, second = (json.loads((run.best / "probe.json").read_text()) for run in (one, two))
    assert first["loss"] == pytest.approx(second.pop("loss"), rel=1e-4)
    assert {**first, **second} == first

    own, cut = RunFolder(together / "own"), RunFolder(together / "cut")
    assert (own.network / "model.safetensors").read_bytes() == (
        cut.network / "model.safetensors"
    ).read_bytes()
    assert own.guard_file.read_text() == cut.guard_file.read_text()
    for ours, theirs in zip(lines(own.train_file), lines(cut.train_file), strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}
        assert len(ours["stitches"]) == len(ours["losses"]) == 4
        assert ours["images"] == 200
    assert any(line["stitches"][:2] != line["stitches"][2:] for line in lines(own.train_file))
    counts = json.loads(own.train_summary_file.read_text())["counts"]
    assert sum(counts.values()) == 4 * len(lines(own.train_file))
    told = [json.loads((together / f"told{rank}.json").read_text()) for rank in range(2)]
    assert "Interrupted after 4 steps" in told[0][0]
    assert "going on after step 4" in told[0][1]
    assert told[1] == [""]


def test_another_number_of_processes_is_noted_or_refused(fitted, digits):
    run = RunFolder(fitted)
    source = open_images("digits:train")

    def identity(processes, ties):
        return identity_of(
            run,
            data=digits,
            source=source,
            options=OWN,
            seed=0,
            device=torch.device("cpu"),
            processes=processes,
            ties=ties,
        )

    for ties in ("", "mixes images"):
        values = {"identity": identity(2, ties).as_data()}
        write_checkpoint(run.checkpoints, Checkpoint(3, values, {"x": torch.zeros(1)}), keep=1)
        assert len(checkpoint_to_go_on_from(run, identity(2, ties))[1]) == 1
        if ties:
            with pytest.raises(StitchError, match=r"each of which mixes images, was 2, now 1\. Give"):
                checkpoint_to_go_on_from(run, identity(1, ties))
        else:
            note = checkpoint_to_go_on_from(run, identity(1, ties))[1][1]
            assert note == "the last bits may differ from those of one go: processes was 2, now 1"


def test_what_ties_a_training_to_its_processes(stitched_vits, stitched_resnets):
    network, options = stitched_vits(), TrainOptions()
    assert ties_to_processes(network, options) == ""
    assert ties_to_processes(stitched_resnets(), options) == ""
    for changed, reason in (
        ({"sampler": SamplerOptions(per_rank=True)}, "draws stitches (train.sampler.per_rank)"),
        ({"objective": ObjectiveOptions(cutmix=1.0)}, "mixes images (mixup, cutmix)"),
        (
            {"objective": ObjectiveOptions(feature_matching=1.0)},
            "measures features by its share (feature_matching)",
        ),
    ):
        assert ties_to_processes(network, TrainOptions(**changed)) == reason
    running = TrainOptions(batch_norm="running")
    assert ties_to_processes(network, running) == ""  # it has no BatchNorm
    assert ties_to_processes(stitched_resnets(), running).startswith("normalises by its share")
    assert ties_to_processes(stitched_vits(drop_path_rate=0.1), options).startswith("draws in its blocks")


def test_a_batch_that_cannot_be_shared_is_refused():
    mixed = TrainOptions(batch_size=12, objective=ObjectiveOptions(mixup=0.2))
    check_shares(12, mixed, Ranks(0, 3))
    check_shares(3, TrainOptions(), Ranks(0, 3))
    with pytest.raises(StitchError, match=r"2 images has none for some of 3 processes.*batch_size to 3"):
        check_shares(2, TrainOptions(), Ranks(0, 3))
    with pytest.raises(StitchError, match=r"12 images make no even pieces for 4.*a multiple of 8"):
        check_shares(12, mixed, Ranks(0, 4))
