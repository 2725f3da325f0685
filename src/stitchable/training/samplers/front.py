"""More of what will be deployed: stitches on or near the front of cost and estimated loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stitchable.errors import StitchError
from stitchable.space.draw import distinct, uniform_index, weighted_index
from stitchable.space.prune import sample_members
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch
from stitchable.training.samplers.balanced import CANDIDATES
from stitchable.training.samplers.sampler import Sampler, check_number, dearest_first, draw_key


class FrontSampler(Sampler):
    """Stitches near the estimated front, neglected ones, and a floor of uniform draws.

    Each draw is one of three: any stitch of the space (``floor``), one of those with the fewest visits
    (``neglected``), or else one by its weight exp(−excess / near), where a stitch's excess is its estimated
    loss above the lowest estimate among those that cost no more. The estimate is an exponential mean of the
    losses observed. As long as nothing was observed, the share by weight goes to the neglected.

    Args:
        space: Where to draw from.
        seed: Another seed gives another sequence.
        stitches_per_step: How many different ones a step trains.
        floor: Share of uniform draws, more than 0.
        neglected: Share of draws among the least visited; with ``floor`` at most 1.
        near: Excess in nats at which the weight has fallen to 1/e.
        memory: Share of the estimate that a new loss leaves standing, at least 0 and less than 1.
        candidates: Of a larger space, so many stitches that are drawn once, uniformly, have estimates; the
            others come by ``floor`` alone.

    Raises:
        StitchError: There are not so many stitches as a step is to train.
    """

    def __init__(
        self,
        space: StitchingSpace,
        *,
        seed: int = 0,
        stitches_per_step: int = 1,
        floor: float = 0.2,
        neglected: float = 0.2,
        near: float = 0.1,
        memory: float = 0.8,
        candidates: int = CANDIDATES,
    ) -> None:
        self.candidates = sample_members(space, candidates, seed=seed)
        check_number("stitches_per_step", stitches_per_step, len(self.candidates))
        self.space, self.seed, self.stitches_per_step = space, seed, stitches_per_step
        self.floor, self.neglected, self.near, self.memory = floor, neglected, near, memory
        self.costs = [space.cost(stitch).macs for stitch in self.candidates]
        self._numbers = {stitch: number for number, stitch in enumerate(self.candidates)}
        self._visits = [0] * len(self.candidates)
        self._losses = [0.0] * len(self.candidates)
        self._weights: list[float] | None = None

    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """Stitches of ``step``, by what was observed so far."""

        def draw(attempt: int) -> Stitch:
            key = (self.seed, *draw_key(step, rank, attempt))
            if weighted_index([self.floor, 1 - self.floor], "front floor", *key) == 0:
                return self.space[uniform_index(self.space.count, "front any", *key)]
            return self.candidates[weighted_index(self.weights(), "front candidate", *key)]

        return dearest_first(self.space, distinct(draw, self.stitches_per_step))

    def weights(self) -> list[float]:
        """For each of the candidates its probability in a draw that is not one of ``floor``."""
        if self._weights is None:
            fewest = min(self._visits)
            least = [1.0 if visits == fewest else 0.0 for visits in self._visits]
            near = [math.exp(-excess / self.near) for excess in self.excess()]
            all_least, all_near = sum(least), sum(near)
            share = self.neglected / (1 - self.floor) if self.floor < 1 and all_near > 0 else 1.0
            self._weights = [
                share * few / all_least + (1 - share) * close / (all_near or 1.0)
                for few, close in zip(least, near, strict=True)
            ]
        return self._weights

    def excess(self) -> list[float]:
        """Estimated loss of each candidate above the front, in nats; infinite where nothing is known."""
        excess = [math.inf] * len(self.candidates)
        known = (number for number, visits in enumerate(self._visits) if visits)
        lowest = math.inf
        for number in sorted(known, key=lambda number: (self.costs[number], self._losses[number])):
            lowest = min(lowest, self._losses[number])
            excess[number] = self._losses[number] - lowest
        return excess

    def observe(self, step: int, losses: Mapping[Stitch, float]) -> None:
        """Move the estimates of these stitches towards their losses in nats."""
        for stitch, loss in losses.items():
            number = self._numbers.get(stitch)
            if number is not None:
                memory = self.memory if self._visits[number] else 0.0
                self._losses[number] = memory * self._losses[number] + (1 - memory) * loss
                self._visits[number] += 1
        self._weights = None

    def state_dict(self) -> dict[str, Any]:
        """For every stitch that was visited its number of visits and its estimated loss in nats."""
        known = [number for number, visits in enumerate(self._visits) if visits]
        return {
            "visits": {str(self.candidates[number]): self._visits[number] for number in known},
            "losses": {str(self.candidates[number]): self._losses[number] for number in known},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over visits and estimates.

        Raises:
            StitchError: They are of another sampler, space or seed.
        """
        numbers = {str(stitch): number for stitch, number in self._numbers.items()}
        visits, losses = state.get("visits"), state.get("losses")
        if not isinstance(visits, dict) or not isinstance(losses, dict) or visits.keys() != losses.keys():
            raise StitchError(
                f"A front sampler's memory has visits and losses; got {', '.join(state) or 'nothing'}. "
                "Go on with the sampler that wrote it."
            )
        strange = next((text for text in visits if text not in numbers), None)
        if strange is not None:
            raise StitchError(
                f"The sampler's memory knows of {strange}, which is none of its candidates. Go on with the "
                "space, train.sampler.candidates and seed that it was written with."
            )
        self._visits, self._losses = [0] * len(self.candidates), [0.0] * len(self.candidates)
        for text, number in visits.items():
            self._visits[numbers[text]], self._losses[numbers[text]] = int(number), float(losses[text])
        self._weights = None
