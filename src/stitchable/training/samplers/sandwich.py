"""The sandwich rule: both ends of the space in every step, and some of what lies between."""

from __future__ import annotations

from stitchable.space.draw import distinct, uniform_index
from stitchable.space.extremes import cheapest, dearest
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch
from stitchable.training.samplers.sampler import Sampler, check_number, dearest_first, draw_key


class SandwichSampler(Sampler):
    """The dearest stitch, the cheapest one and ``random`` others, drawn uniformly, in every step.

    Which they are is told by MACs: as a rule the two are anchors, but a stitch that runs more than its
    largest anchor is dearer than that.

    Source: Yu and Huang 2019, Universally Slimmable Networks.

    Args:
        space: Where to draw from; it may be too large to list.
        seed: Another seed gives another sequence.
        random: How many others a step trains.

    Raises:
        StitchError: The space has not so many others.
    """

    def __init__(self, space: StitchingSpace, *, seed: int = 0, random: int = 2) -> None:
        self.ends = tuple(dict.fromkeys((dearest(space), cheapest(space))))
        check_number("random", random, space.count - len(self.ends))
        self.space, self.seed, self.random = space, seed, random

    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """Stitches of ``step``."""

        def draw(attempt: int) -> Stitch:
            key = draw_key(step, rank, attempt)
            return self.space[uniform_index(self.space.count, "sandwich", self.seed, *key)]

        return dearest_first(self.space, (*self.ends, *distinct(draw, self.random, taken=self.ends)))
