"""From the times of parts to those of stitches: plain sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from stitchable.evaluation.device_cost import DeviceCost
from stitchable.profiling.survey import Survey, part_of
from stitchable.space.steps import Step


@dataclass(frozen=True)
class PartTimes:
    """What was measured, brought down to a number for each kind of work.

    Attributes:
        work_ms: Median milliseconds of parts, by `Footprint.work`.
        scale: By anchor, what its parts are multiplied by so that their sum is its latency when run whole.
        tail: How many medians the 95th percentile of a whole call is.
    """

    work_ms: Mapping[str, float]
    scale: Mapping[str, float]
    tail: float

    def part_ms(self, step: Step, survey: Survey) -> float:
        """Milliseconds of one part within a stitch; a stitching layer's are not scaled."""
        plain = self.work_ms[survey.footprints[part_of(step)].work]
        return plain * self.scale.get(step.name, 1.0) if step.kind != "layer" else plain

    def predict(self, steps: Sequence[Step], survey: Survey) -> DeviceCost:
        """What a stitch costs: the sum of its parts, the tail of whole calls, the memory that it needs."""
        p50 = sum(self.part_ms(step, survey) for step in steps)
        return DeviceCost(p50, p50 * self.tail, survey.memory(steps))


def pooled(measured: Iterable[tuple[str, Sequence[float]]]) -> dict[str, float]:
    """Median of all times of equal work, wherever it was measured.

    Args:
        measured: Pairs of a kind of work and some milliseconds; kinds may come again.

    Example:
        >>> pooled([("a", [1.0, 9.0]), ("b", [4.0]), ("a", [2.0])])
        {'a': 2.0, 'b': 4.0}
    """
    times: dict[str, list[float]] = {}
    for work, found in measured:
        times.setdefault(work, []).extend(found)
    return {work: median(found) for work, found in times.items()}


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, between two values by linear interpolation."""
    return float(np.percentile(values, 95))


def tail_of(totals: Iterable[Sequence[float]]) -> float:
    """How many medians the 95th percentile is: the median of this ratio over several subjects."""
    return median(p95(each) / median(each) for each in totals)


def relative_errors(predicted: Sequence[float], measured: Sequence[float]) -> list[float]:
    """Deviations of predictions as shares of what was measured.

    Example:
        >>> relative_errors([9.0, 10.0], [10.0, 10.0])
        [0.1, 0.0]
    """
    return [abs(ours - true) / true for ours, true in zip(predicted, measured, strict=True)]
