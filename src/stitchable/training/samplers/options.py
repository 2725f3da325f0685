"""What to choose about the stitches of a step. Plain data; no torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from stitchable.errors import StitchError, check_choices, nearest

Kind = Literal["uniform", "rounds", "balanced", "sandwich", "front", "mixture", "schedule"]
MIXABLE = ("uniform", "rounds", "balanced", "sandwich", "front")


@dataclass(frozen=True)
class SamplerOptions:
    """Which stitches a step trains; every draw is a pure function of the seed, the step and the rank.

    Attributes:
        kind: ``"uniform"`` (Algorithm 1), ``"rounds"`` (every stitch once, then again in another order),
            ``"balanced"`` (a group of similar cost, then a stitch of it), ``"sandwich"`` (the dearest, the
            cheapest and some random ones), ``"front"`` (more of those on or near the estimated front, and of
            neglected ones), ``"mixture"`` of these, or ``"schedule"``.
        per_rank: Each process of a distributed training draws stitches of its own. By default all train
            the same ones: they finish together, and their number does not change what is trained.
        stitches_per_step: Different stitches in one step, for uniform, rounds, balanced and front; what they
            share at their beginning runs once.
        gap: Balanced: MACs above a group's cheapest stitch at which the next group opens (1e9 in SN-Netv2);
            ``None`` is a tenth of the way from the cheapest to the dearest stitch.
        random: Sandwich: random stitches in each step, beside the two ends.
        floor: Front: share of uniform draws.
        neglected: Front: share of draws among the least visited stitches.
        near: Front: estimated loss above the front, in nats, at which a stitch's weight has fallen to 1/e.
        memory: Front: share of the estimated loss that a new loss leaves standing.
        candidates: Balanced and front: of a larger space, so many stitches, drawn once, take part.
        weights: Mixture: how often each kind is asked, such as ``{uniform: 1, front: 3}``.
        file: Schedule: text file, one line per step with stitch ids separated by blanks; behind its end it
            begins again.
    """

    kind: Kind = "uniform"
    per_rank: bool = False
    stitches_per_step: int = 1
    gap: float | None = None
    random: int = 2
    floor: float = 0.2
    neglected: float = 0.2
    near: float = 0.1
    memory: float = 0.8
    candidates: int = 2000
    weights: dict[str, float] = field(default_factory=dict)
    file: str | None = None

    def __post_init__(self) -> None:
        check_choices(self, "train.sampler")
        for name, (fine, allowed) in self._rules().items():
            if not fine:
                raise StitchError(f"train.sampler.{name} must be {allowed}; got {getattr(self, name)}.")
        for kind in self.weights:
            if kind not in MIXABLE:
                raise StitchError(f"Unknown kind {kind!r} in train.sampler.weights. {nearest(kind, MIXABLE)}")
        self._check_read()

    def _check_read(self) -> None:
        """Make sure that nothing is said which the kind does not read, where that changes what is trained.

        A file or weights that another kind has left behind are no mistake; with the default they are.
        """
        said = {"schedule": self.file and "file", "mixture": self.weights and "weights"}
        for kind, name in said.items() if self.kind == "uniform" else ():
            if name:
                raise StitchError(
                    f"train.sampler.{name} is given, and train.sampler.kind uniform reads none. Set the kind "
                    f"to {kind}, or leave the {name} out."
                )
        if self.kind in ("sandwich", "schedule") and self.stitches_per_step > 1:
            other = "random" if self.kind == "sandwich" else "file"
            raise StitchError(
                f"train.sampler.stitches_per_step is {self.stitches_per_step}, and {self.kind} does not read "
                f"it: train.sampler.{other} says how many stitches a step trains. Leave it at 1."
            )

    def _rules(self) -> dict[str, tuple[bool, str]]:
        """For each field whether it is in its range, and the range in words."""
        weights, is_schedule = self.weights.values(), self.kind == "schedule"
        finite = all(0 <= weight < math.inf for weight in weights)
        return {
            "stitches_per_step": (self.stitches_per_step >= 1, "at least 1"),
            "gap": (self.gap is None or 0 <= self.gap < math.inf, "finite and at least 0, in MACs, or null"),
            "random": (self.random >= 0, "at least 0"),
            "floor": (0 < self.floor <= 1, "a share in (0, 1]"),
            "neglected": (
                0 <= self.neglected <= 1 - self.floor,
                f"0 to the {1 - self.floor:g} that floor leaves",
            ),
            "near": (0 < self.near < math.inf, "positive and finite, in nats"),
            "memory": (0 <= self.memory < 1, "a share in [0, 1)"),
            "candidates": (self.candidates >= 2, "at least 2"),
            "weights": (
                finite and (any(weights) or self.kind != "mixture"),
                "finite and at least 0, for a mixture one of them positive, such as {uniform: 1, front: 3}",
            ),
            "file": (self.file is not None or not is_schedule, "a text file for the kind schedule"),
            "per_rank": (not (self.per_rank and is_schedule), "false for a schedule, which is one for all"),
        }
