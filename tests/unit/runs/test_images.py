"""Runs on shards, and on images of which one does not read."""

import io
import shutil
import tarfile
from dataclasses import replace

import pytest
from PIL import Image

from stitchable.cli.main import main
from stitchable.errors import Interrupted, StitchError
from stitchable.runs.config import DataConfig, FitConfig, SweepConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.guard_options import GuardOptions


@pytest.fixture
def shards(tmp_path):
    """Two shards of twenty grey 8×8 images; number 7 breaks off."""
    pytest.importorskip("datasets", reason="the parquet extra is not installed")
    (tmp_path / "shards").mkdir()
    for shard in range(2):
        with tarfile.open(tmp_path / "shards" / f"train-{shard}.tar", "w") as tar:
            for number in range(20 * shard, 20 * shard + 20):
                buffer = io.BytesIO()
                Image.new("L", (8, 8), 6 * number).save(buffer, "PNG")
                image = buffer.getvalue()[: 40 if number == 7 else None]
                for ending, content in (("png", image), ("cls", str(number % 10).encode())):
                    member = tarfile.TarInfo(f"{number:02d}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return DataConfig(train=str(tmp_path / "shards"), val=str(tmp_path / "shards"))


def test_fit_and_sweep_read_shards(config, shards, tmp_path):
    run = RunFolder(tmp_path / "new")
    fit_run(run, replace(config, data=shards, fit=FitConfig(images=30)))
    options = SweepConfig(batch_size=8, stitches=3)
    rows = sweep_run(run, data=shards, options=options)
    assert {row.images for row in rows} == {39}
    assert rows == sweep_run(run, data=replace(shards, workers=1), options=options)


def test_a_training_on_shards_goes_on_in_mid_epoch(fitted, shards, quick, tmp_path):
    options = replace(
        quick, epochs=2, batch_size=8, augment="crop", checkpoint=CheckpointOptions(every_steps=1)
    )
    whole, run = RunFolder(shutil.copytree(fitted, tmp_path / "whole")), RunFolder(fitted)
    train_run(whole, data=shards, options=options, seed=3)

    def stop(record):
        if record.step == 6:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        train_run(run, data=shards, options=options, seed=3, on_step=stop)
    with pytest.raises(StitchError, match=r"labels was .*, now"):
        train_run(run, data=replace(shards, train_images=32), options=options, seed=3)
    train_run(run, data=replace(shards, workers=1), options=options, seed=3)
    ours, theirs = (each.network / "model.safetensors" for each in (run, whole))
    assert ours.read_bytes() == theirs.read_bytes()
    assert len(run.train_file.read_text().splitlines()) == 10


def test_what_a_stream_cannot_do_is_refused(fitted, shards, quick):
    guard = GuardOptions(every=1, images=4, split="train")
    for data, options, message in (
        (shards, replace(quick, guard=guard), "can be set aside: it is a stream"),
        (replace(shards, memory=True), quick, "is a stream, which is not held"),
    ):
        with pytest.raises(StitchError, match=message):
            train_run(RunFolder(fitted), data=data, options=options)


def test_a_command_names_what_it_skipped(measured, corrupt, capsys):
    main(["sweep", str(measured), "--data.val", str(corrupt), "--sweep.stitches", "2", "--overwrite"])
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("skipped ")]
    assert len(told) == 1
    assert told[0].startswith(f"skipped {corrupt / 'bee' / '3.png'}: ")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"corrupt_limit": -1}, r"data\.corrupt_limit must be at least 0; got -1"),
        ({"workers": -1}, r"data\.workers must be at least 0"),
        ({"train_images": 0}, r"data\.train_images must be at least 1"),
        ({"val_images": 0}, r"data\.val_images must be at least 1"),
    ],
)
def test_options_out_of_range(change, text):
    with pytest.raises(StitchError, match=text):
        DataConfig(**change)
