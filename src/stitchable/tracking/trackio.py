"""Trackio: a local data base, ``TRACKIO_DIR``, or a Space where its own settings name one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from stitchable.tracking.tracker import Status, TrackedRun


class TrackioTracker:
    """One run. Trackio has no ids: the name is made unique and is the id. Points are not taken back."""

    def start(self, run: TrackedRun) -> str:
        """See `Tracker`."""
        import trackio

        name = run.id or f"{run.name}-{datetime.now():%Y%m%d-%H%M%S-%f}"
        self._run = trackio.init(
            project=run.project,
            name=name,
            config=dict(run.config),
            resume="must" if run.id else "never",
            embed=False,
        )
        return name

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """See `Tracker`."""
        self._run.log(dict(values), step=step)

    def finish(self, status: Status, summary: Mapping[str, float]) -> None:
        """See `Tracker`; there is no status, and a summary is a point."""
        if summary:
            self._run.log({f"summary/{name}": value for name, value in summary.items()})
        self._run.finish()
