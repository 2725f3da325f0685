"""The configuration of a reassembly: that of a run, with what takes the place of its space."""

from __future__ import annotations

from dataclasses import dataclass, field

from stitchable.reassembly.options import ReassemblyConfig
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
from stitchable.space.build import SpaceOptions
from stitchable.tracking.options import TrackOptions
from stitchable.training.options import TrainOptions


@dataclass(frozen=True)
class ZooConfig:
    """Everything that a zoo's reassembly needs.

    Attributes:
        anchors: The zoo, as in `RunConfig`.
        inputs: Name of the anchor whose image size and normalisation all are to take, likewise.
        reassembly: How new networks are made of their parts.
        data: Where the images are.
        fit: How the joints are initialised.
        train: How the shortlist is trained, where it is.
        track: Where else that is told.
        sweep: How it is measured.
        seed: Of everything random.
        device: ``"auto"`` takes CUDA, then MPS, then the CPU.
    """

    anchors: str | list[str] = field(default_factory=list)
    inputs: str | None = None
    reassembly: ReassemblyConfig = field(default_factory=ReassemblyConfig)
    data: DataConfig = field(default_factory=DataConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    train: TrainOptions = field(default_factory=TrainOptions)
    track: TrackOptions = field(default_factory=TrackOptions)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    seed: int = 0
    device: str = "auto"

    @property
    def run(self) -> RunConfig:
        """That of the run which comes of it; its space is what is given to `fit_run`."""
        return RunConfig(
            anchors=self.anchors,
            inputs=self.inputs,
            space=SpaceOptions(rule="given"),
            data=self.data,
            fit=self.fit,
            train=self.train,
            track=self.track,
            sweep=self.sweep,
            seed=self.seed,
            device=self.device,
        )
