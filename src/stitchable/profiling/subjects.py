"""What is measured: anchors part by part, joints between two blocks, some stitches whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchable.network import StitchedNetwork
from stitchable.profiling.rounds import Subject
from stitchable.profiling.runtimes import Engine
from stitchable.profiling.survey import Survey, anchor_steps
from stitchable.space.space import StitchingSpace
from stitchable.space.steps import Step
from stitchable.stitch import Stitch


@dataclass(frozen=True)
class Carrier:
    """Parts that are measured one after the other, as they run in a stitch: none with caches of its own.

    Attributes:
        steps: What runs.
        counted: Which of them count; the others are there as neighbours.
        start: The feature that the first one takes.
    """

    steps: tuple[Step, ...]
    counted: range
    start: Tensor

    @property
    def name(self) -> str:
        """For people and keys."""
        first = self.steps[self.counted[0]]
        return f"joint {first.name}" if first.kind == "layer" else first.name


def carriers(network: StitchedNetwork, survey: Survey, x: Tensor) -> list[Carrier]:
    """Enough to measure every kind of work once or more.

    Each anchor from stem to head; and for each kind of stitching layer one of them, with the block that it
    leaves and the block that it enters.
    """
    chosen = []
    for anchor in network.anchors.values():
        steps = tuple(anchor_steps(anchor))
        chosen.append(Carrier(steps, range(len(steps)), x))
    known = set()
    for layer, joints in network.space.layers.items():
        joint, step = joints[0], Step("layer", layer)
        work = survey.footprints[step].work
        if work in known:
            continue
        known.add(work)
        before, after = Step("block", joint.front, joint.leave - 1), Step("block", joint.end, joint.enter)
        shape = network.anchors[joint.front].features[joint.leave - 1].shape(len(x))
        start = torch.randn(shape).to(x)
        chosen.append(Carrier((before, step, after), range(1, 2), start))
    return chosen


def part_subject(carrier: Carrier, engine: Engine) -> Subject:
    """The parts of a carrier as calls."""
    calls = tuple(engine.part(step) for step in carrier.steps)
    return Subject(carrier.name, calls, engine.feature(carrier.start))


def whole_subject(stitch: Stitch, engine: Engine, x: Tensor) -> Subject:
    """An extracted stitch as one call."""
    return Subject(str(stitch), (engine.whole(stitch),), engine.feature(x))


def part_times(
    carriers: Iterable[Carrier], subjects: Iterable[Subject], survey: Survey
) -> Iterator[tuple[str, list[float]]]:
    """Milliseconds of every part that counts, with its kind of work."""
    for carrier, subject in zip(carriers, subjects, strict=True):
        for place in carrier.counted:
            work = survey.footprints[carrier.steps[place]].work
            yield work, [each[place] for each in subject.times]


def spread_over_costs(space: StitchingSpace, stitches: Sequence[Stitch], number: int) -> list[Stitch]:
    """Some stitches that are no anchors, evenly from cheap to dear in MACs."""
    others = [stitch for stitch in stitches if stitch.joints]
    others.sort(key=lambda stitch: space.cost(stitch).macs)
    if number >= len(others):
        return others
    return [others[(2 * place + 1) * len(others) // (2 * number)] for place in range(number)]
