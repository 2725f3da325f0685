"""All libraries that follow a training, none of which may end it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from stitchable.errors import StitchError
from stitchable.tracking.libraries import open_tracker
from stitchable.tracking.options import TrackOptions
from stitchable.tracking.scalars import Scalars, guard_point, summary_values
from stitchable.tracking.tracker import Status, TrackedRun, Tracker
from stitchable.training.anchor_drop import GuardRecord
from stitchable.training.loop import StepRecord, TrainSummary


class Tracking:
    """Tells some libraries how a training goes; a context manager that closes their runs.

    A library that fails is named once and told nothing more. Only one that cannot begin a new run is refused,
    when nothing is lost yet.

    Args:
        options: See `TrackOptions`.
        folder: For what is written on this machine, and for ``ids.json``, by which a training that goes on
            finds its runs again.
        name: Of the run, where the options give none.
        warn: Called with a line; `warnings.warn` where left out.
        trackers: By the library's name; those of the options where left out.

    Raises:
        StitchError: A library is not installed.
    """

    def __init__(
        self,
        options: TrackOptions,
        folder: Path,
        *,
        name: str,
        warn: Callable[[str], None] | None = None,
        trackers: Mapping[str, Tracker] | None = None,
    ) -> None:
        self.options, self.folder, self.name = options, folder, options.name or name
        self._warn = warn or warnings.warn
        opened = trackers if trackers is not None else {key: open_tracker(key) for key in options.libraries}
        self._trackers = dict(opened)
        self._scalars, self._taken = Scalars(options.every), 0
        self._summary: TrainSummary | None = None

    def start(self, config: Mapping[str, Any], *, done: int) -> None:
        """Begin, or go on with, a run in each library.

        Args:
            config: What decides the training, JSON-ready.
            done: Steps of the checkpoint that the training goes on from; 0 begins new runs.

        Raises:
            StitchError: A library cannot begin a new run.
        """
        self._taken, file = done, self.folder / "ids.json"
        ids: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if done and file.is_file() else {}
        for library, tracker in list(self._trackers.items()):
            run = TrackedRun(
                name=self.name,
                project=self.options.project,
                folder=self.folder / library,
                config=config,
                done=done,
                id=ids.get(library),
            )
            try:
                ids[library] = tracker.start(run)
            except Exception as error:  # each library has its own
                if not done:
                    raise StitchError(f"{library} cannot track this training: {_reason(error)}.") from error
                self._drop(library, error)
        if ids:
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(ids, indent=1) + "\n", encoding="utf-8")

    def write(self, record: StepRecord | GuardRecord) -> None:
        """Take a step or a measurement in, and tell the libraries where a point is complete."""
        if not self._trackers:
            return
        if isinstance(record, GuardRecord):
            self._log(guard_point(record), step=record.step)
        else:
            self._taken = record.step + 1
            self._log(self._scalars.add(record), step=self._taken)

    def finish(self, summary: TrainSummary) -> None:
        """Note what the runs are to be closed with."""
        self._summary = summary

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status: Status = "finished" if kind is None else "failed"
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            status = "interrupted"
        self._log(self._scalars.rest(), step=self._taken)
        summary = summary_values(self._summary) if self._summary and kind is None else {}
        for library, tracker in list(self._trackers.items()):
            with self._unharmed(library):
                tracker.finish(status, summary)

    def _log(self, values: Mapping[str, float], *, step: int) -> None:
        for library, tracker in list(self._trackers.items()) if values else []:
            with self._unharmed(library):
                tracker.log(values, step=step)

    @contextmanager
    def _unharmed(self, library: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the network, a full disk, a change of the library
            self._drop(library, error)

    def _drop(self, library: str, error: Exception) -> None:
        del self._trackers[library]
        self._warn(
            f"{library} failed after {self._taken} steps and is told nothing more; training goes on: "
            f"{_reason(error)}."
        )


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}{f' ({lines[0].rstrip(chr(46))})' if lines else ''}"
