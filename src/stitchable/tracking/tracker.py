"""What a library that follows a training has to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Status = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class TrackedRun:
    """A training as a library is told of it.

    Attributes:
        name: Of the run.
        project: What it belongs to.
        folder: For what the library writes on this machine; it need not exist.
        config: Whatever decides the training, JSON-ready.
        done: Steps that were taken before. Points after them, which a training told before it was cut off,
            will be told again.
        id: What `Tracker.start` gave for the training that goes on; ``None`` begins a new one.
    """

    name: str
    project: str
    folder: Path
    config: Mapping[str, Any]
    done: int = 0
    id: str | None = None


class Tracker(Protocol):
    """One library. Anything that it raises ends the tracking there, and nothing else."""

    def start(self, run: TrackedRun) -> str:
        """Begin a run, or go on with the one that ``run.id`` names.

        Returns:
            What names it when it is to go on.
        """

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Add a point to each of some curves.

        Args:
            values: By the curve's name, ``group/curve`` or ``curve``, of letters, digits, ``_``, ``-``.
            step: Steps taken; never less than in the call before.
        """

    def finish(self, status: Status, summary: Mapping[str, float]) -> None:
        """Close the run.

        Args:
            status: ``"interrupted"`` where it is likely to go on.
            summary: What is known in the end; empty unless finished.
        """
