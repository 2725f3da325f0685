"""TensorBoard: event files in the run's folder, one folder per training."""

from __future__ import annotations

import json
from collections.abc import Mapping

from stitchable.tracking.tracker import Status, TrackedRun


class TensorBoardTracker:
    """Writes with torch's ``SummaryWriter``; what is to be told again is purged."""

    def start(self, run: TrackedRun) -> str:
        """See `Tracker`."""
        from torch.utils.tensorboard import SummaryWriter

        number = run.id or str(1 + sum(1 for _ in run.folder.glob("*")))
        self._writer = SummaryWriter(str(run.folder / number), purge_step=run.done + 1 if run.id else None)
        if run.id is None:
            text = json.dumps(run.config, indent=1)
            self._writer.add_text("config", "\n".join(f"    {line}" for line in text.splitlines()))
        return number

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """See `Tracker`; flushed at once, since a killed process would take its last points along."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self, status: Status, summary: Mapping[str, float]) -> None:
        """See `Tracker`."""
        lines = [f"| {name} | {value:.6g} |" for name, value in summary.items()]
        self._writer.add_text("summary", "\n".join([f"| status | {status} |", "|---|---|", *lines]))
        self._writer.close()
