"""Checkpoints on disk: whole or recognised as not whole, and never a pickle.

A checkpoint is a folder ``step_…`` of ``tensors.safetensors`` and ``state.json``, which holds plain data and
the digests of both; where the tensors are in pieces (`stitchable.training.pieces`), of several such files. It
is written under another name, synced and renamed, so that a name without ``.partial`` is a whole checkpoint
unless the disk damaged it; the digests tell that.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from stitchable.errors import StitchError, writing

FORMAT = 2  # 1 where all tensors are in one file
TENSORS, STATE, PARTIAL = "tensors.safetensors", "state.json", ".partial"


@dataclass(frozen=True)
class Checkpoint:
    """What a training was at a step.

    Attributes:
        step: Number of steps taken.
        values: Plain data, JSON-ready.
        tensors: By name, on the CPU where they were read; none where they are in pieces and still on disk.
        pieces: The folder of such ones.
        shapes: Of such ones, by name.
    """

    step: int
    values: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    pieces: Path | None = None
    shapes: Mapping[str, list[int]] = field(default_factory=dict)


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write a checkpoint and remove all but the last ``keep``, this one included.

    Returns:
        Its folder, ``folder/step_…``; one that was there under this name is replaced.

    Raises:
        StitchError: It cannot be written, on a full disk for example. Those before it are whole, and what was
            written of this one is removed.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    try:
        with writing(folder):
            partial = begin_checkpoint(folder, checkpoint.step)
            save_file(tensors, partial / TENSORS)
            sync(partial / TENSORS)
            digests = {"tensors": digest_file(partial / TENSORS), "values": _digest(checkpoint.values)}
            return _finish(partial, {"format": 1, "sha256": digests}, checkpoint, keep=keep)
    except StitchError:
        with suppress(OSError):
            remove_partials(folder)  # it takes room that others may need
        raise


def begin_checkpoint(folder: Path, step: int) -> Path:
    """Make the folder in which a checkpoint is written; half-written ones are removed."""
    remove_partials(folder)
    partial = folder / f"step_{step:09d}{PARTIAL}"
    partial.mkdir(parents=True)
    return partial


def finish_checkpoint(
    partial: Path,
    checkpoint: Checkpoint,
    digests: Mapping[str, str],
    *,
    keep: int,
    shapes: Mapping[str, list[int]],
) -> Path:
    """Complete a checkpoint whose tensors are in pieces, in files that were written and synced.

    Args:
        partial: What `begin_checkpoint` gave.
        checkpoint: Its tensors are not read.
        digests: SHA-256 of each of the files.
        keep: How many checkpoints to keep, this one included.
        shapes: Of the tensors, whole.
    """
    sums = {"files": dict(digests), "values": _digest(checkpoint.values)}
    head = {"format": FORMAT, "sha256": sums, "shapes": dict(shapes)}
    return _finish(partial, head, checkpoint, keep=keep)


def _finish(partial: Path, head: dict[str, Any], checkpoint: Checkpoint, *, keep: int) -> Path:
    folder, place = partial.parent, partial.with_suffix("")
    state = {**head, "step": checkpoint.step, "values": checkpoint.values}
    (partial / STATE).write_text(json.dumps(state) + "\n", encoding="utf-8")
    for path in (partial / STATE, partial):
        sync(path)
    if place.exists():
        _remove(place)
    partial.rename(place)
    sync(folder)
    for old in checkpoints(folder)[keep:]:
        _remove(old)
    return place


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and a line for each newer one that is not.

    Returns:
        ``None`` where there is no checkpoint at all.

    Raises:
        StitchError: There are checkpoints and none is whole, or one is of a newer format.
    """
    notes: list[str] = []
    for place in checkpoints(folder):
        try:
            return read_checkpoint(place), notes
        except _DamagedError as error:
            notes.append(f"{place} is damaged ({error}); the checkpoint before it is taken")
    if notes:
        raise StitchError(
            f"None of the checkpoints in {folder} is whole: {notes[0].partition(';')[0]}. "
            "Copy them again, or begin anew with --resume never."
        )
    return None, notes


def read_checkpoint(place: Path) -> Checkpoint:
    """Read one checkpoint and check its digests.

    Raises:
        StitchError: It is damaged, or of a newer format.
    """
    try:
        state = json.loads((place / STATE).read_text(encoding="utf-8"))
        if state["format"] > FORMAT:
            raise StitchError(
                f"{place} has format {state['format']}; this stitchable reads {FORMAT}. Update it."
            )
        digests, values, step = state["sha256"], state["values"], int(state["step"])
        if _digest(values) != digests["values"]:
            raise _DamagedError(f"{STATE} has another digest than it says")
        files = digests.get("files") or {TENSORS: digests["tensors"]}
        for name, digest in files.items():
            if digest_file(place / name) != digest:
                raise _DamagedError(f"{name} has another digest than {STATE} says")
        if "files" in digests:
            return Checkpoint(step, values, {}, place, state["shapes"])
        return Checkpoint(step, values, load_file(place / TENSORS))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        reason = (
            f"{error.strerror}: {Path(error.filename).name}" if isinstance(error, OSError) else str(error)
        )
        raise _DamagedError(reason) from error


def checkpoints(folder: Path) -> list[Path]:
    """Folders of the checkpoints, the newest first; half-written ones are left out."""
    return sorted((path for path in folder.glob("step_*") if path.suffix != PARTIAL), reverse=True)


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints at once: a process that dies in the middle leaves none of them."""
    if folder.exists():
        _remove(folder)


def remove_partials(folder: Path) -> None:
    """Remove what a process that died left half-written or half-removed."""
    for path in folder.glob(f"*{PARTIAL}"):
        shutil.rmtree(path)


class _DamagedError(StitchError):
    """Not what was written."""


def _remove(place: Path) -> None:
    # Renamed first: removing takes many calls, and a folder with some files gone must not look whole.
    gone = place.with_name(f"{place.name}.removed{PARTIAL}")
    shutil.rmtree(gone, ignore_errors=True)
    place.rename(gone)
    shutil.rmtree(gone)


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
