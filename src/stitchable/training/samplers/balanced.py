"""Every cost alike: stitches in groups of similar MACs, a group first, then a stitch of it."""

from __future__ import annotations

from collections.abc import Iterable

from stitchable.space.draw import distinct, uniform_index
from stitchable.space.prune import sample_members
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch
from stitchable.training.samplers.sampler import Sampler, check_number, dearest_first, draw_key

CANDIDATES = 2000


class BalancedSampler(Sampler):
    """A group of similar cost uniformly, then a stitch of the group uniformly.

    Source: SN-Netv2 (Pan et al. 2024), resource-constrained sampling; its gap is 1 GMAC.

    Args:
        space: Where to draw from.
        seed: Another seed gives another sequence.
        stitches_per_step: How many different ones a step trains.
        gap: See `cost_groups`; ``None`` is a tenth of the way from the cheapest to the dearest, which makes
            at most ten groups whatever the size of the models.
        candidates: Of a larger space, so many stitches that are drawn once, uniformly, take part.

    Attributes:
        groups: The groups, by rising MACs.

    Raises:
        StitchError: There are not so many stitches as a step is to train.
    """

    def __init__(
        self,
        space: StitchingSpace,
        *,
        seed: int = 0,
        stitches_per_step: int = 1,
        gap: float | None = None,
        candidates: int = CANDIDATES,
    ) -> None:
        members = sample_members(space, candidates, seed=seed)
        check_number("stitches_per_step", stitches_per_step, len(members))
        costs = [space.cost(stitch).macs for stitch in members]
        gap = (max(costs) - min(costs)) / 10 if gap is None else gap
        self.groups = [tuple(members[number] for number in group) for group in cost_groups(costs, gap=gap)]
        self.space, self.seed, self.stitches_per_step = space, seed, stitches_per_step

    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """Stitches of ``step``."""

        def draw(attempt: int) -> Stitch:
            key = (self.seed, *draw_key(step, rank, attempt))
            group = self.groups[uniform_index(len(self.groups), "balanced group", *key)]
            return group[uniform_index(len(group), "balanced stitch", *key)]

        return dearest_first(self.space, distinct(draw, self.stitches_per_step))


def cost_groups(costs: Iterable[int], *, gap: float) -> list[list[int]]:
    """Positions of ``costs`` in groups; one that is more than ``gap`` above a group's first opens the next.

    Example:
        >>> cost_groups([5, 0, 11, 12, 4], gap=5)
        [[1, 4, 0], [2, 3]]
    """
    groups: list[list[int]] = []
    first = 0
    for cost, number in sorted((cost, number) for number, cost in enumerate(costs)):
        if not groups or cost > first + gap:
            groups.append([])
            first = cost
        groups[-1].append(number)
    return groups
