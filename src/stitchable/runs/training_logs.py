"""The logs of a training: a line per step, and one per anchor that the guard measures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from stitchable.errors import writing
from stitchable.runs.folder import RunFolder
from stitchable.training.anchor_drop import GuardRecord
from stitchable.training.loop import StepRecord


class TrainingLogs:
    """``train.jsonl``, and ``guard.jsonl`` with a guard: under other names until training is done.

    So an earlier training's logs outlive the failure of a new one. A context manager: the files are made when
    it is entered, and closed when it is left.

    Args:
        run: Where they are.
        guarded: Whether there is a guard.
        silent: Leave all files alone: another process writes them.
    """

    def __init__(self, run: RunFolder, *, guarded: bool, silent: bool = False) -> None:
        self.run, self.guarded, self.silent = run, guarded, silent
        self._files: list[IO[str]] = []

    def cut(self, done: int, *, steps: int) -> list[str]:
        """Shorten the logs to what a checkpoint has done; to be called before they are opened.

        Args:
            done: Steps of the checkpoint to go on from, 0 to begin anew.
            steps: Of the whole training.

        Returns:
            What is worth saying: that lines are missing.
        """
        run = self.run
        if self.silent:
            return []
        for partial, whole in ((run.training_file, run.train_file), (run.guarding_file, run.guard_file)):
            if done == steps and not partial.exists() and whole.exists():
                whole.replace(partial)  # it was cut off while it put its things away
        cut_guard_log(run.guarding_file, done)
        left = cut_log(run.training_file, done)
        return [f"{done - left} steps are missing from {run.training_file}"] if left < done else []

    def __enter__(self) -> TrainingLogs:
        if self.silent:
            return self
        paths = [self.run.training_file, *([self.run.guarding_file] if self.guarded else [])]
        with writing(self.run.training_file):
            self._files = [path.open("a", encoding="utf-8", buffering=1) for path in paths]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for file in self._files:
            # What a full disk left in the buffer fails once more, and has been told.
            with suppress(OSError) if kind else nullcontext():
                file.close()

    def write(self, record: StepRecord | GuardRecord) -> None:
        """Add a line to the log that the record belongs to."""
        if self.silent:
            return
        file = self._files[isinstance(record, GuardRecord)]
        with writing(file.name):
            file.write(json.dumps(asdict(record)) + "\n")

    def sync(self) -> None:
        """Put on the disk what is written: before a checkpoint, so that none is ahead of its log."""
        for file in self._files:
            with writing(file.name):
                os.fsync(file.fileno())

    def finish(self) -> None:
        """Give the logs the names of a training that is done; an earlier one's are replaced."""
        if self.guarded:
            self.run.guarding_file.replace(self.run.guard_file)
        else:
            self.run.guard_file.unlink(missing_ok=True)
        self.run.training_file.replace(self.run.train_file)


def cut_log(path: Path, steps: int) -> int:
    """Shorten a log to its first ``steps`` lines; a last line that broke off is dropped.

    Returns:
        The number of lines that are left: fewer than ``steps`` where some are missing.
    """
    return _cut(path, lambda count, _: count < steps)


def cut_guard_log(path: Path, steps: int) -> None:
    """Shorten a guard's log to what was measured after ``steps`` steps or fewer."""
    _cut(path, lambda _, line: bool(json.loads(line)["step"] <= steps))


def _cut(path: Path, stays: Callable[[int, bytes], bool]) -> int:
    if not path.is_file():
        return 0
    end = count = 0
    with path.open("rb") as log:
        for line in log:
            if not line.endswith(b"\n") or not stays(count, line):
                break
            end, count = end + len(line), count + 1
    with path.open("rb+") as log:
        log.truncate(end)
    return count
