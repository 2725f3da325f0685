"""What to choose about the anchors' guard. Plain data; no torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from stitchable.errors import StitchError, check_choices


@dataclass(frozen=True)
class GuardOptions:
    """How the anchors are watched while the joint network trains.

    The drop of an anchor is its original's top-1 minus its own, in points, on the same images. Its own is
    that of the weights that would be saved now: with ``train.ema`` the average, with
    ``train.interpolation`` the anchors moved back.

    Attributes:
        every: Measure the anchors after so many steps, and again after as many; 0 never does.
        images: How many images to measure on, at most.
        split: ``"val"`` measures on held-out images; ``"train"`` sets so many of the training images aside
            and does not train on them.
        limit: Largest drop to allow, in points; ``None`` only reports.
        stop: Stop at the first measurement above the limit, with the network of the last one below it.
            Otherwise an anchor above the limit gets steps of its own and learns from its original.
        step_share: Share of the steps that an anchor gets more with every measurement above the limit, and
            less with every one below half of it; at most four times as much, all anchors together at most
            half of the steps.
        distillation: Weight of the divergence from the original, times the number of such rises.
    """

    section: ClassVar[str] = "train.guard"

    every: int = 0
    images: int = 1000
    split: Literal["val", "train"] = "val"
    limit: float | None = None
    stop: bool = False
    step_share: float = 0.1
    distillation: float = 0.5

    def __post_init__(self) -> None:
        check_choices(self, self.section)
        limit = 0.0 if self.limit is None else self.limit
        for name, fine, allowed in (
            ("every", self.every >= 0, "at least 0"),
            ("images", self.images >= 1, "at least 1"),
            ("limit", math.isfinite(limit) and limit >= 0, "at least 0, or null"),
            ("step_share", 0 <= self.step_share <= 0.5, "in [0, 0.5]"),
            ("distillation", math.isfinite(self.distillation) and self.distillation >= 0, "at least 0"),
        ):
            if not fine:
                raise StitchError(f"{self.section}.{name} must be {allowed}; got {getattr(self, name)}.")
        if self.limit is not None and not self.every:
            raise StitchError(
                f"{self.section}.limit is {self.limit} and nothing is measured. Set {self.section}.every."
            )
        if self.stop and self.limit is None:
            raise StitchError(f"{self.section}.stop needs a limit. Set {self.section}.limit, in points.")

    @property
    def steers(self) -> bool:
        """Whether training is changed where an anchor is above the limit."""
        return self.limit is not None and not self.stop
