"""Several samplers, one of them in each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stitchable.errors import StitchError
from stitchable.space.draw import weighted_index
from stitchable.stitch import Stitch
from stitchable.training.samplers.sampler import Sampler, draw_key


class MixtureSampler(Sampler):
    """One sampler of several, drawn by weight for every step; all of them observe all losses.

    Args:
        samplers: By name. Their order does not matter.
        weights: One number for each of these names, 0 or more; only their ratios count.
        seed: Of the choice among them; they have their own.

    Raises:
        StitchError: The names differ, or no weight is positive.
    """

    def __init__(
        self, samplers: Mapping[str, Sampler], weights: Mapping[str, float], *, seed: int = 0
    ) -> None:
        if (
            samplers.keys() != weights.keys()
            or min(weights.values(), default=0) < 0
            or not any(weights.values())
        ):
            raise StitchError(
                f"A mixture of {', '.join(samplers) or 'nothing'} needs one weight for each, 0 or more and "
                f"not all 0; got {dict(weights)}."
            )
        self.samplers = {name: samplers[name] for name in sorted(samplers)}
        self.weights, self.seed = [weights[name] for name in self.samplers], seed

    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """Stitches of ``step``, those of one of the samplers."""
        number = weighted_index(self.weights, "mixture", self.seed, *draw_key(step, rank))
        return list(self.samplers.values())[number](step, rank)

    def observe(self, step: int, losses: Mapping[Stitch, float]) -> None:
        """Tell all samplers, whoever named the stitches."""
        for sampler in self.samplers.values():
            sampler.observe(step, losses)

    def state_dict(self) -> dict[str, Any]:
        """The memories of those that have one, by name."""
        states = {name: sampler.state_dict() for name, sampler in self.samplers.items()}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give each sampler its memory back.

        Raises:
            StitchError: The memory is of other samplers.
        """
        if not state.keys() <= self.samplers.keys():
            raise StitchError(
                f"The memory is of a mixture with {', '.join(state)}; this one has "
                f"{', '.join(self.samplers)}. Go on with the mixture that wrote it."
            )
        for name, sampler in self.samplers.items():
            sampler.load_state_dict(state.get(name, {}))
