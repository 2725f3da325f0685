import json
import re

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.training.checkpoint import (
    Checkpoint,
    checkpoints,
    newest_checkpoint,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)


def made(step):
    ramp = torch.arange(12.0).reshape(3, 4)
    return Checkpoint(
        step, {"a": 0.1 + 0.2, "b": [1, {"c": None}]}, {"x": ramp + step, "y": ramp.T.bfloat16()}
    )


@pytest.fixture
def two(tmp_path):
    return [write_checkpoint(tmp_path, made(step), keep=5) for step in (9, 10)]


def test_what_is_written_reads_back_to_the_bit(tmp_path):
    place = write_checkpoint(tmp_path, made(3), keep=1)
    found, wanted = read_checkpoint(place), made(3)
    assert (found.step, found.values) == (3, wanted.values)
    assert found.tensors.keys() == {"x", "y"}
    assert all(torch.equal(found.tensors[name], wanted.tensors[name]) for name in "xy")
    assert found.tensors["y"].dtype == torch.bfloat16


def test_the_last_ones_are_kept(tmp_path):
    for step in (8, 9, 10, 11):
        write_checkpoint(tmp_path, made(step), keep=2)
    assert [place.name for place in checkpoints(tmp_path)] == ["step_000000011", "step_000000010"]
    assert len(list(tmp_path.iterdir())) == 2
    assert newest_checkpoint(tmp_path)[0].step == 11
    remove_checkpoints(tmp_path)
    assert not tmp_path.exists()
    assert newest_checkpoint(tmp_path) == (None, [])


def test_a_full_disk_is_told_and_leaves_the_checkpoints_before(two, tmp_path, full_disk):
    with full_disk(100), pytest.raises(StitchError, match=r"cannot be written: .*\. Make room on the disk"):
        write_checkpoint(tmp_path, made(11), keep=1)
    assert sorted(tmp_path.iterdir()) == sorted(two)
    assert newest_checkpoint(tmp_path)[0].step == 10


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def change(path):
    state = json.loads(path.read_text())
    state["values"]["a"] = 1.0
    path.write_text(json.dumps(state))


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("tensors.safetensors", cut),
        ("tensors.safetensors", flip),
        ("tensors.safetensors", lambda path: path.unlink()),
        ("tensors.safetensors", lambda path: path.write_bytes(b"")),
        ("state.json", cut),
        ("state.json", change),
        ("state.json", lambda path: path.unlink()),
        ("state.json", lambda path: path.write_text("[1]")),
        ("state.json", lambda path: path.write_bytes(b"\xff\xfe")),
    ],
    ids=["cut", "bit", "gone", "empty", "cut state", "changed state", "gone state", "list", "bytes"],
)
def test_a_damaged_one_is_told_and_the_one_before_is_taken(tmp_path, two, file, damage):
    damage(two[1] / file)
    found, notes = newest_checkpoint(tmp_path)
    assert found.step == 9
    assert len(notes) == 1
    assert "\n" not in notes[0]
    assert re.search(r"step_000000010 is damaged \(.+\); the checkpoint before it is taken", notes[0])
    damage(two[0] / file)
    with pytest.raises(StitchError, match=r"None of the checkpoints in .* is whole: .*--resume never"):
        newest_checkpoint(tmp_path)


def test_what_is_half_written_is_ignored_and_swept_up(tmp_path, two):
    half = tmp_path / "step_000000011.partial"
    half.mkdir()
    (half / "tensors.safetensors").write_bytes(b"half")
    gone = tmp_path / "step_000000008.removed.partial"
    gone.mkdir()
    found, notes = newest_checkpoint(tmp_path)
    assert (found.step, notes) == (10, [])
    write_checkpoint(tmp_path, made(11), keep=2)
    assert not half.exists()
    assert not gone.exists()
    assert newest_checkpoint(tmp_path)[0].step == 11


def test_a_damaged_one_can_be_written_again(tmp_path, two):
    flip(two[1] / "tensors.safetensors")
    write_checkpoint(tmp_path, made(10), keep=2)
    assert newest_checkpoint(tmp_path)[0].step == 10


def test_a_newer_format_is_not_taken_for_damage(tmp_path, two):
    state = json.loads((two[1] / "state.json").read_text())
    (two[1] / "state.json").write_text(json.dumps({**state, "format": 3}))
    with pytest.raises(StitchError, match="has format 3; this stitchable reads 2"):
        newest_checkpoint(tmp_path)
