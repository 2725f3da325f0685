"""Weights & Biases, online or with ``WANDB_MODE=offline``."""

from __future__ import annotations

from collections.abc import Mapping

from stitchable.tracking.tracker import Status, TrackedRun


class WandbTracker:
    """One run. Steps that it knows already it leaves out by itself, with the points told first."""

    def start(self, run: TrackedRun) -> str:
        """See `Tracker`."""
        import wandb

        run.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=run.project,
            name=run.name,
            id=run.id,
            resume="allow" if run.id else None,
            dir=run.folder,
            config=dict(run.config),
            # The console is the progress bar's.
            settings=wandb.Settings(console="off", silent=True),
        )
        return str(self._run.id)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """See `Tracker`."""
        self._run.log(dict(values), step=step)

    def finish(self, status: Status, summary: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.summary.update({"status": status, **summary})
        self._run.finish(exit_code=0 if status == "finished" else 1)
