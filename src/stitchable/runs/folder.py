"""The run folder: which file lies where, and how its configuration is read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from stitchable.errors import StitchError
from stitchable.runs.config import RunConfig


class RunFolder:
    """Paths of a run.

    ``config.yaml`` is the resolved configuration; ``fitted/`` the network before training, with the
    anchors as they came; ``network/`` the trained one; ``fit.json`` R² per layer; ``train.jsonl`` a line
    per step and ``guard.jsonl`` one per anchor and measurement (``.partial`` until training is done);
    ``checkpoints/`` the states of a training that is not done; ``tracking/`` what the libraries that follow
    it keep here; ``stopped/`` the network that the guard kept when it stopped one; ``best/`` that of the best
    epoch, where one is kept; ``curve_fitted.jsonl`` and ``curve.jsonl`` the curve before and after training,
    ``outcomes_fitted.safetensors`` and ``outcomes.safetensors`` what every stitch answered on every image;
    ``sweeping/`` those of a sweep that is not done; ``profile.json`` latency and memory on this device;
    ``search.jsonl`` what a search has measured; ``reassembly.json`` how a zoo was cut, and what
    was made of its parts.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.fitted = self.path / "fitted"
        self.network = self.path / "network"
        self.fit_file = self.path / "fit.json"
        self.train_file = self.path / "train.jsonl"
        self.training_file = self.path / "train.jsonl.partial"
        self.guard_file = self.path / "guard.jsonl"
        self.guarding_file = self.path / "guard.jsonl.partial"
        self.stopped = self.path / "stopped"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.tracking = self.path / "tracking"
        self.train_summary_file = self.path / "train_summary.json"
        self.curve_fitted = self.path / "curve_fitted.jsonl"
        self.curve = self.path / "curve.jsonl"
        self.outcomes_fitted = self.path / "outcomes_fitted.safetensors"
        self.outcomes = self.path / "outcomes.safetensors"
        self.sweeping = self.path / "sweeping"
        self.profile = self.path / "profile.json"
        self.search = self.path / "search.jsonl"
        self.reassembly = self.path / "reassembly.json"
        self.report = self.path / "report.html"
        self.figures = (self.path / "curve.svg", self.path / "curve.png")

    def check_free(self, *, overwrite: bool = False) -> None:
        """Make sure that a new run may be written here.

        Raises:
            StitchError: The folder holds something already, and ``overwrite`` is not given or it is no
                run; or it cannot be, because a file is in its place or above it.
        """
        for place in (self.path, *self.path.parents):
            if place.is_file():
                raise StitchError(f"{place} is a file. Name a folder for the run.")
        if self.path.is_dir() and any(self.path.iterdir()):
            if not self.config_file.is_file():
                raise StitchError(f"{self.path} is not empty and holds no run. Name a new folder.")
            if not overwrite:
                raise StitchError(
                    f"{self.path} already holds a run. Name another folder, or replace it with --overwrite."
                )

    def require(self) -> None:
        """Make sure that this is a run.

        Raises:
            StitchError: It is not.
        """
        if not self.config_file.is_file():
            raise StitchError(
                f"{self.path} holds no run: it has no config.yaml. Make one with 'stitchable fit'."
            )

    @property
    def is_trained(self) -> bool:
        """Whether the run has a trained network."""
        return (self.network / "config.json").is_file()

    @property
    def weights(self) -> Path:
        """The trained network's folder, or the fitted one's before training."""
        return self.network if self.is_trained else self.fitted

    @property
    def latest_curve(self) -> Path:
        """The curve of the latest network, whether it is measured yet or not."""
        return self.curve if self.is_trained else self.curve_fitted

    @property
    def latest_outcomes(self) -> Path:
        """The answers behind `latest_curve`."""
        return self.outcomes if self.is_trained else self.outcomes_fitted

    def read_config(self) -> dict[str, Any]:
        """The configuration as plain data.

        Raises:
            StitchError: The folder holds no run, or its configuration does not read.
        """
        self.require()
        try:
            values = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise StitchError(f"{self.config_file} is not YAML: {str(error).splitlines()[0]}.") from error
        if not isinstance(values, dict):
            raise StitchError(f"{self.config_file} does not hold a configuration.")
        return values

    def write_config(self, config: RunConfig | Mapping[str, Any]) -> None:
        """Write the resolved configuration."""
        values = asdict(config) if isinstance(config, RunConfig) else dict(config)
        self.config_file.write_text(yaml.safe_dump(_plain(values), sort_keys=False), encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
