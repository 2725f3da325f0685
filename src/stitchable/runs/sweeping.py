"""A sweep that is not done: the answers so far, from which it goes on."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from stitchable.errors import writing
from stitchable.evaluation.answers import BatchAnswers

IDENTITY = "identity.json"


class Sweeping:
    """The folder of answers so far; they are written every few seconds, and when the sweep breaks off.

    Args:
        folder: Of the answers; it need not exist.
        identity: What decides the answers, as plain data: those of another identity are removed.
        seconds: Between two writings.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, seconds: float = 15.0) -> None:
        self._folder = folder
        self._identity = json.loads(json.dumps(identity))
        self._seconds = seconds
        self._waiting: list[BatchAnswers] = []
        self._written = 0
        self._last = time.monotonic()

    def read(self) -> list[BatchAnswers]:
        """Answers to the first batches, in their order, as far as they are whole."""
        try:
            same = json.loads((self._folder / IDENTITY).read_text(encoding="utf-8")) == self._identity
        except (OSError, ValueError):
            same = False
        found: list[BatchAnswers] = []
        if same:
            while (path := self._path(len(found))).is_file():
                try:
                    found += _split(load_file(path))
                except (SafetensorError, KeyError, ValueError):
                    break
        if not found:
            self.remove()
        self._written = len(found)
        return found

    def add(self, each: BatchAnswers) -> None:
        """Take in the answers to the next batch."""
        self._waiting.append(each)
        if time.monotonic() - self._last >= self._seconds:
            self.write()

    def write(self) -> None:
        """Write what has not been written yet."""
        if self._waiting:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not self._written:
                (self._folder / IDENTITY).write_text(json.dumps(self._identity) + "\n", encoding="utf-8")
            path = self._path(self._written)
            with writing(path):
                save_file(_joined(self._waiting), path.with_suffix(".partial"))
            path.with_suffix(".partial").replace(path)
            self._written += len(self._waiting)
            self._waiting = []
        self._last = time.monotonic()

    def remove(self) -> None:
        """The sweep is done, or another one begins."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Sweeping:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.write()

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:06d}.safetensors"


def _joined(batches: list[BatchAnswers]) -> dict[str, Any]:
    return {
        "images": np.array([len(each.labels) for each in batches]),
        "labels": np.concatenate([each.labels for each in batches]),
        "predicted": np.concatenate([each.predicted for each in batches], axis=1),
        "confidence": np.concatenate([each.confidence for each in batches], axis=1),
        "loss": np.stack([each.loss for each in batches]),
    }


def _split(arrays: Mapping[str, Any]) -> list[BatchAnswers]:
    ends = np.cumsum(arrays["images"])[:-1]
    parts = zip(
        np.split(arrays["labels"], ends),
        np.split(arrays["predicted"], ends, axis=1),
        np.split(arrays["confidence"], ends, axis=1),
        arrays["loss"],
        strict=True,
    )
    return [BatchAnswers(*each) for each in parts]
