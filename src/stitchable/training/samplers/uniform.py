"""Every stitch alike: Algorithm 1 of the paper."""

from __future__ import annotations

from stitchable.space.draw import distinct, uniform_index
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch
from stitchable.training.samplers.sampler import Sampler, check_number, dearest_first, draw_key


class UniformSampler(Sampler):
    """Every stitch of the space alike, anchors included.

    Source: Pan et al. 2023, Algorithm 1.

    Args:
        space: Where to draw from; it may be too large to list.
        seed: Another seed gives another sequence.
        stitches_per_step: How many different ones a step trains.

    Raises:
        StitchError: The space has not so many.
    """

    def __init__(self, space: StitchingSpace, *, seed: int = 0, stitches_per_step: int = 1) -> None:
        check_number("stitches_per_step", stitches_per_step, space.count)
        self.space, self.seed, self.stitches_per_step = space, seed, stitches_per_step

    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """Stitches of ``step``."""

        def draw(attempt: int) -> int:
            return uniform_index(self.space.count, "uniform", self.seed, *draw_key(step, rank, attempt))

        drawn = distinct(draw, self.stitches_per_step)
        return dearest_first(self.space, (self.space[index] for index in drawn))
