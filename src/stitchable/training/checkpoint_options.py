"""What to choose about checkpoints. Plain data; no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stitchable.errors import StitchError


@dataclass(frozen=True)
class CheckpointOptions:
    """When the state of a training is written, and how much of it is kept.

    Where neither ``every_steps`` nor ``every_minutes`` is given, a checkpoint is written at most once a
    minute, and no sooner than a hundred times the last writing's duration after it: below 1 % of the time.
    None of this changes the numbers that training comes to.

    Attributes:
        every_steps: Write after so many steps.
        every_minutes: Write after so many minutes.
        keep: How many checkpoints to keep, the last ones; 0 writes none.
        probe_images: Held-out images on which the mean loss of the anchors and of eight fixed stitches is
            taken after each epoch; the network with the lowest is kept in ``best/``. 0 keeps no best.
    """

    section: ClassVar[str] = "train.checkpoint"

    every_steps: int | None = None
    every_minutes: float | None = None
    keep: int = 2
    probe_images: int = 0

    def __post_init__(self) -> None:
        if self.every_steps is not None and self.every_minutes is not None:
            raise StitchError(
                f"Got {self.section}.every_steps and .every_minutes. Give one of them, or none."
            )
        rules = {
            "every_steps": (self.every_steps is None or self.every_steps >= 1, "at least 1, or null"),
            "every_minutes": (self.every_minutes is None or self.every_minutes > 0, "positive, or null"),
            "keep": (self.keep >= 0, "at least 0"),
            "probe_images": (self.probe_images >= 0, "at least 0"),
        }
        for name, (fine, allowed) in rules.items():
            if not fine:
                raise StitchError(f"{self.section}.{name} must be {allowed}; got {getattr(self, name)}.")
