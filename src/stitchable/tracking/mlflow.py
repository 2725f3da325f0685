"""MLflow, at ``MLFLOW_TRACKING_URI`` or in a file beside the run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from stitchable.nested import dotted
from stitchable.tracking.tracker import Status, TrackedRun

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_LONGEST, _AT_ONCE = 500, 100  # characters of a parameter, parameters of a call


class MlflowTracker:
    """One run, through the client, so that MLflow's own active run is left alone.

    MLflow cannot take points back: what it has of a training that goes on is left out when it comes again.
    """

    def start(self, run: TrackedRun) -> str:
        """See `Tracker`."""
        import mlflow

        place = os.environ.get("MLFLOW_TRACKING_URI")
        if place is None:
            run.folder.mkdir(parents=True, exist_ok=True)
            place = f"sqlite:///{run.folder.absolute() / 'mlflow.db'}"
        self._client, self._last = mlflow.MlflowClient(place), dict[str, int]()
        self._goes_on = run.id is not None
        if run.id is not None:
            self._client.update_run(run.id, status="RUNNING")
            self._id = run.id
            return self._id
        found = self._client.get_experiment_by_name(run.project)
        experiment = found.experiment_id if found else self._client.create_experiment(run.project)
        self._id = str(self._client.create_run(experiment, run_name=run.name).info.run_id)
        parameters = [mlflow.entities.Param(key, str(value)[:_LONGEST]) for key, value in dotted(run.config)]
        for start in range(0, len(parameters), _AT_ONCE):
            self._client.log_batch(self._id, params=parameters[start : start + _AT_ONCE])
        return self._id

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """See `Tracker`."""
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        new = {name: value for name, value in values.items() if step > self._last_step(name)}
        self._client.log_batch(
            self._id, metrics=[Metric(name, value, now, step) for name, value in new.items()]
        )

    def finish(self, status: Status, summary: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in summary.items():
            self._client.log_metric(self._id, f"summary/{name}", value)
        self._client.set_terminated(self._id, _STATUS[status])

    def _last_step(self, name: str) -> int:
        """Of what MLflow has already; it is asked once per curve, of a training that goes on alone."""
        if not self._goes_on:
            return -1
        if name not in self._last:
            steps = [each.step for each in self._client.get_metric_history(self._id, name)]
            self._last[name] = max(steps, default=-1)
        return self._last[name]
