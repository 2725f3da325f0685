"""Which libraries follow a training. Plain data; none of them is imported here."""

from __future__ import annotations

from dataclasses import dataclass, field

from stitchable.errors import StitchError, nearest

LIBRARIES = ("tensorboard", "wandb", "trackio", "mlflow")


@dataclass(frozen=True)
class TrackOptions:
    """Where else the progress of a training is told; none of this changes its numbers.

    Attributes:
        to: Any of ``tensorboard``, ``wandb``, ``trackio`` and ``mlflow``; on the command line separated by
            commas.
        project: What the run belongs to: wandb's and trackio's project, MLflow's experiment.
        name: Of the run there; the name of its folder where left out.
        every: Steps per point; a point is the mean over its steps.
    """

    to: str | list[str] = field(default_factory=list)
    project: str = "stitchable"
    name: str | None = None
    every: int = 10

    def __post_init__(self) -> None:
        for library in self.libraries:
            if library not in LIBRARIES:
                raise StitchError(f"Unknown track.to {library!r}. {nearest(library, LIBRARIES)}")
        if self.every < 1:
            raise StitchError(f"track.every must be at least 1; got {self.every}.")

    @property
    def libraries(self) -> list[str]:
        """The libraries, each once.

        Example:
            >>> TrackOptions("tensorboard, wandb").libraries
            ['tensorboard', 'wandb']
        """
        texts = self.to.split(",") if isinstance(self.to, str) else self.to
        return list(dict.fromkeys(text.strip() for text in texts if text.strip()))
