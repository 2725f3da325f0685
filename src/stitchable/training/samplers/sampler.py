"""What a sampler is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from stitchable.errors import StitchError
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch


class Sampler(ABC):
    """Anything that names the stitches of a step; asked twice, it gives the same answer.

    A sampler may learn from losses (`observe`). Its answers are then a pure function of (seed, step, rank)
    and of what `state_dict` holds. In distributed training every rank must observe the same losses.
    """

    @abstractmethod
    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """Different stitches to train in one step, one or more, the dearest first.

        Args:
            step: Counted from 0.
            rank: Of the process that asks. Ranks get draws of their own; see `SameOnAllRanks`.
        """

    def observe(self, step: int, losses: Mapping[Stitch, float]) -> None:  # noqa: B027
        """Learn the losses of a step's stitches, in nats; most samplers do not care."""

    def state_dict(self) -> dict[str, Any]:
        """What the answers depend on besides (seed, step, rank), as plain data for JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            StitchError: It is the memory of another sampler.
        """
        if state:
            raise StitchError(
                f"{type(self).__name__} has no memory; got one with {', '.join(state)}. "
                "Go on with the sampler that wrote it."
            )


class SameOnAllRanks(Sampler):
    """Gives every rank what ``sampler`` gives rank 0."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """Stitches of ``step``, whatever the rank."""
        return self.sampler(step)

    def observe(self, step: int, losses: Mapping[Stitch, float]) -> None:
        """Pass the losses on."""
        self.sampler.observe(step, losses)

    def state_dict(self) -> dict[str, Any]:
        """That of the sampler behind it."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Pass the memory on."""
        self.sampler.load_state_dict(state)


def draw_key(step: int, rank: int, attempt: int = 0) -> tuple[int | str, ...]:
    """Key of one draw; rank 0's first is that of its step alone."""
    marks = (f"rank {rank}" if rank else "", f"draw {attempt}" if attempt else "")
    return (step, *filter(None, marks))


def dearest_first(space: StitchingSpace, stitches: Iterable[Stitch]) -> tuple[Stitch, ...]:
    """Stitches by falling MACs; of equally dear ones, the one with the lower text id comes first."""
    return tuple(sorted(stitches, key=lambda stitch: (-space.cost(stitch).macs, stitch)))


def check_number(name: str, number: int, most: int) -> None:
    """Make sure that a step can have so many different stitches.

    Raises:
        StitchError: It cannot.
    """
    if not 0 <= number <= most:
        raise StitchError(
            f"train.sampler.{name} must be at most the {most:,} stitches to draw from; got {number}."
        )
