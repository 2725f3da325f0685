"""Clocks that read the time between the parts of a call without holding the device up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import torch


class Clock(Protocol):
    """What measuring needs to know of time."""

    def seconds(self) -> float:
        """Time since some beginning, for budgets."""
        ...

    def mark(self) -> Any:
        """A moment of the call that runs, taken between two parts."""
        ...

    def gaps(self, marks: Sequence[Any]) -> list[float]:
        """Milliseconds between neighbouring marks; asked once the call is over."""
        ...


class WallClock:
    """A clock for the CPU, and for devices whose parts are waited for.

    Args:
        wait: Called before every mark: waits until the device is done.
    """

    def __init__(self, wait: Callable[[], None] | None = None) -> None:
        self._wait = wait

    def seconds(self) -> float:
        """Time of the machine's monotonic clock."""
        return time.monotonic()

    def mark(self) -> int:
        """Nanoseconds."""
        if self._wait:
            self._wait()
        return time.perf_counter_ns()

    def gaps(self, marks: Sequence[int]) -> list[float]:
        """Milliseconds."""
        return [(after - before) / 1e6 for before, after in pairwise(marks)]


class CudaClock(WallClock):
    """A clock of CUDA events: the processor goes on to submit while the device computes, as in use."""

    def mark(self) -> Any:
        """An event in the current stream."""
        event: Any = torch.cuda.Event(enable_timing=True)  # torch does not type its methods
        event.record()
        return event

    def gaps(self, marks: Sequence[Any]) -> list[float]:
        """Milliseconds on the device."""
        torch.cuda.synchronize()
        return [float(before.elapsed_time(after)) for before, after in pairwise(marks)]


def clock_for(device: torch.device) -> Clock:
    """The clock that fits a device."""
    if device.type == "cuda":
        return CudaClock()
    return WallClock(torch.mps.synchronize if device.type == "mps" else None)
