"""Measuring many calls side by side: round after round, so that a machine that drifts hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from stitchable.profiling.clock import Clock

Call = Callable[[Any], Any]

LEAST_ROUNDS = 7
"""Rounds that are run however long they take."""
VISIT_MS = 30.0
MOST_CALLS = 10


@dataclass
class Subject:
    """Something that is called again and again, one part after the other.

    Attributes:
        name: For people and keys.
        calls: The parts; each takes what the one before gives.
        start: What the first one takes.
        times: Measured so far: for each call, the milliseconds of each part.
    """

    name: str
    calls: tuple[Call, ...]
    start: Any
    times: list[list[float]] = field(default_factory=list)

    def once(self, clock: Clock) -> list[float]:
        """Milliseconds of each part in one call."""
        x, marks = self.start, [clock.mark()]
        for call in self.calls:
            x = call(x)
            marks.append(clock.mark())
        return clock.gaps(marks)

    @property
    def totals(self) -> list[float]:
        """Milliseconds of each whole call."""
        return [sum(each) for each in self.times]


def run_rounds(subjects: Sequence[Subject], clock: Clock, *, seconds: float) -> Iterator[float]:
    """Measure subjects in turn until time is over, and at least `LEAST_ROUNDS` times.

    A visit calls its subject once without measuring, since the one before has filled the caches with its own
    weights, and then as often as fit into `VISIT_MS`, at least twice and at most `MOST_CALLS` times.

    Args:
        subjects: What is measured is appended to their ``times``.
        clock: What time it is.
        seconds: When to stop; a round that has begun is finished.

    Yields:
        After each round the share of the work that is done, 0 to 1.
    """
    calls = {}
    for subject in subjects:
        subject.once(clock)
        once = sum(subject.once(clock))
        calls[id(subject)] = min(max(2, int(VISIT_MS / max(once, 1e-3))), MOST_CALLS)
    began, done = clock.seconds(), 0
    while done < LEAST_ROUNDS or clock.seconds() - began < seconds:
        for subject in subjects:
            subject.once(clock)
            found = [subject.once(clock) for _ in range(calls[id(subject)])]
            subject.times += found
        done += 1
        yield min(done / LEAST_ROUNDS, (clock.seconds() - began) / max(seconds, 1e-9), 1.0)
