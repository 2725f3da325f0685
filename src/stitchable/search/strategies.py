"""What to measure next: strategies that know nothing but what has been measured so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from stitchable.errors import StitchError, nearest
from stitchable.prediction.additive import AdditiveFeatures, fit_additive
from stitchable.search.mutation import Mutation
from stitchable.space.band import CostBand
from stitchable.space.best import PathScores, scored_front
from stitchable.space.draw import uniform_index
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

Measured = Mapping[Stitch, float]
"""Stitches in the order in which they were measured, with a number that is better when it is more."""
ATTEMPTS = 200


class Strategy(Protocol):
    """Proposes stitches within the budget. A pure function of its seed and of what it is shown."""

    def __call__(self, measured: Measured, number: int) -> list[Stitch]:
        """Up to ``number`` stitches that were not measured; fewer where hardly any are left."""


class RandomSearch:
    """Uniform among the stitches within the budget.

    Args:
        space: Of any size.
        macs: Most MACs.
        seed: Of the draws.
        params: Most params, where they are limited too.
    """

    def __init__(self, space: StitchingSpace, macs: int, *, seed: int = 0, params: int | None = None) -> None:
        self.space, self.macs, self.params, self.seed = space, macs, params, seed
        self.band = CostBand(space, 0, macs)

    def __call__(self, measured: Measured, number: int) -> list[Stitch]:
        """See `Strategy`."""
        return self.fresh(measured, number, lambda attempt: self.draw(len(measured), attempt))

    def draw(self, *key: int | str) -> Stitch:
        """Any stitch within the budget."""
        return self.band.draw("search", self.seed, *key)

    def fresh(self, measured: Measured, number: int, make: Callable[[int], Stitch]) -> list[Stitch]:
        """The first ``number`` of ``make(0)``, ``make(1)`` … that are new and within the budget."""
        chosen: dict[Stitch, None] = {}
        for attempt in range(ATTEMPTS * number):
            if len(chosen) == number:
                break
            stitch = make(attempt)
            if stitch not in measured and self.allows(stitch):
                chosen.setdefault(stitch)
        return list(chosen)

    def allows(self, stitch: Stitch) -> bool:
        """Whether a stitch of the space is within the budget."""
        cost = self.space.cost(stitch)
        return cost.macs <= self.macs and (self.params is None or cost.params <= self.params)


class Evolution(RandomSearch):
    """Regularised evolution: children of the best of a few of the youngest.

    Args:
        space: Of any size.
        macs: Most MACs.
        seed: Of the draws.
        population: How many of the last measured may have children; as many random stitches come first.
        rivals: How many of these are drawn for each child; the best of them is its parent.
        params: Most params, where they are limited too.

    Source: Real, Aggarwal, Huang and Le 2019; here a generation is measured at a time.
    """

    def __init__(
        self,
        space: StitchingSpace,
        macs: int,
        *,
        seed: int = 0,
        population: int = 30,
        rivals: int = 8,
        params: int | None = None,
    ) -> None:
        super().__init__(space, macs, seed=seed, params=params)
        self.population, self.rivals = population, rivals
        self.mutation = Mutation(space)

    def __call__(self, measured: Measured, number: int) -> list[Stitch]:
        """See `Strategy`."""
        if len(measured) < self.population:
            return super().__call__(measured, number)
        return self.fresh(measured, number, lambda attempt: self.child(measured, attempt))

    def child(self, measured: Measured, attempt: int) -> Stitch:
        """A changed copy of the best of some of the youngest."""
        living = list(measured)[-self.population :]
        key = ("child", self.seed, len(measured), attempt)
        drawn = [living[uniform_index(len(living), *key, "rival", number)] for number in range(self.rivals)]
        return self.mutation(max(drawn, key=lambda each: measured[each]), *key)


class Guided(Evolution):
    """Evolution whose children are chosen by a predictor, fitted again to everything that was measured.

    A quarter of a generation is the predictor's own front up to the budget, found without listing the space;
    a half are the most promising of many children; the rest are random, so that it cannot blind itself.

    Args:
        space: Of any size.
        macs: Most MACs.
        seed: Of the draws.
        r2: R² of the least-squares fit by stitching layer, where it is known.
    """

    CHILDREN = 10  # for each that is measured

    def __init__(
        self, space: StitchingSpace, macs: int, *, seed: int = 0, r2: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(space, macs, seed=seed)
        self.features = AdditiveFeatures(space, r2 or {})

    def __call__(self, measured: Measured, number: int) -> list[Stitch]:
        """See `Strategy`."""
        if len(measured) < self.population:
            return RandomSearch.__call__(self, measured, number)
        scores = fit_additive(self.features, measured)
        chosen = self._foretold(scores, measured, -(-number // 4))
        known = {**measured, **dict.fromkeys(chosen, 0.0)}
        wanted = number // 2
        children = self.fresh(
            known,
            self.CHILDREN * wanted,
            lambda attempt: self.promising(measured, attempt),
        )
        children.sort(key=lambda each: -scores.of(self.space, each))
        chosen += children[:wanted]
        known |= dict.fromkeys(chosen, 0.0)
        return chosen + self.fresh(
            known, number - len(chosen), lambda attempt: self.draw(len(measured), attempt)
        )

    def promising(self, measured: Measured, attempt: int) -> Stitch:
        """A changed copy of one of the best so far."""
        best = sorted(measured, key=lambda each: -measured[each])[: self.rivals]
        key = ("promising", self.seed, len(measured), attempt)
        return self.mutation(best[uniform_index(len(best), *key)], *key)

    def _foretold(self, scores: PathScores, measured: Measured, number: int) -> list[Stitch]:
        """The best by prediction, from the budget downwards."""
        front = scored_front(self.space, scores, budget=self.macs).stitches
        return [each.stitch for each in reversed(front) if each.stitch not in measured][:number]


STRATEGIES: dict[str, type[RandomSearch]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "guided": Guided,
}


def strategy_named(
    name: str, space: StitchingSpace, macs: int, *, seed: int = 0, r2: Mapping[str, float] | None = None
) -> Strategy:
    """Make a strategy by its name.

    Raises:
        StitchError: There is none of the name, or no stitch is within the budget.
    """
    if name not in STRATEGIES:
        raise StitchError(f"Unknown strategy {name!r}. {nearest(name, STRATEGIES)}")
    if name == "guided":
        return Guided(space, macs, seed=seed, r2=r2)
    return STRATEGIES[name](space, macs, seed=seed)
