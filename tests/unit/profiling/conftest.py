"""A clock that counts work instead of time, so that what is measured is known beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from torch.utils.flop_counter import FlopCounterMode


class WorkClock:
    """Milliseconds are the floating-point operations that torch has run."""

    def __init__(self, counter: FlopCounterMode) -> None:
        self.counter = counter
        self.asked = 0

    def seconds(self) -> float:
        self.asked += 1
        return float(self.asked)

    def mark(self) -> int:
        return self.counter.get_total_flops()

    def gaps(self, marks: Sequence[int]) -> list[float]:
        return [float(after - before) for before, after in pairwise(marks)]


@pytest.fixture
def work_clock() -> Iterator[WorkClock]:
    with FlopCounterMode(display=False) as counter:
        yield WorkClock(counter)
