"""Samplers: which stitch a step trains, as a pure function of (seed, step)."""

from __future__ import annotations

from typing import Protocol

from stitchable.space.draw import uniform_index
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch


class Sampler(Protocol):
    """Anything that names the stitch of a step; asked twice, it gives the same answer."""

    def __call__(self, step: int) -> Stitch:
        """Stitch of ``step``, counted from 0."""


class UniformSampler:
    """Every stitch of the space alike, anchors included.

    Source: Pan et al. 2023, Algorithm 1.

    Args:
        space: Where to draw from; it may be too large to list.
        seed: Another seed gives another sequence.
    """

    def __init__(self, space: StitchingSpace, *, seed: int = 0) -> None:
        self.space, self.seed = space, seed

    def __call__(self, step: int) -> Stitch:
        """Stitch of ``step``."""
        return self.space[uniform_index(self.space.count, "uniform", self.seed, step)]
