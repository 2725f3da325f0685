"""Every stitch equally often: rounds through the space, each in an order of its own."""

from __future__ import annotations

from stitchable.space.draw import permuted_index
from stitchable.stitch import Stitch
from stitchable.training.samplers.sampler import dearest_first, draw_key
from stitchable.training.samplers.uniform import UniformSampler


class RoundsSampler(UniformSampler):
    """Each stitch of the space once per round, anchors included, in a random order of the round.

    Uniform draws leave some stitches of a short training with half the steps of others; here the numbers
    differ by one. Where a step trains several and the space is no multiple of that, each round leaves out
    the stitches that are over, other ones every time.

    Source: Chu et al. 2021 (FairNAS), strict fairness, for whole paths.

    Args and errors are those of `UniformSampler`; the space may be too large to list here too.
    """

    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """Stitches of ``step``."""
        count, several = self.space.count, self.stitches_per_step
        number, place = divmod(step, count // several)
        key = ("rounds", self.seed, *draw_key(number, rank))
        drawn = (permuted_index(count, place * several + each, *key) for each in range(several))
        return dearest_first(self.space, (self.space[index] for index in drawn))
