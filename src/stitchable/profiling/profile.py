"""The cost of stitches under one condition: measured parts, summed, and checked on whole stitches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from stitchable.evaluation.device_cost import Condition, DeviceCosts
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.profiling.clock import Clock, clock_for
from stitchable.profiling.footprint import footprint
from stitchable.profiling.prediction import PartTimes, p95, pooled, relative_errors, tail_of
from stitchable.profiling.rounds import Subject, run_rounds
from stitchable.profiling.runtimes import DTYPES, check_condition, engine
from stitchable.profiling.subjects import (
    Carrier,
    carriers,
    part_subject,
    part_times,
    spread_over_costs,
    whole_subject,
)
from stitchable.profiling.survey import Survey, anchor_steps, survey
from stitchable.stitch import Stitch


@dataclass(frozen=True)
class _Measured:
    survey: Survey
    carriers: Sequence[Carrier]
    parts: Sequence[Subject]
    anchors: Sequence[Subject]
    checked: dict[Stitch, Subject]


def profile(
    network: StitchedNetwork,
    condition: Condition,
    stitches: Sequence[Stitch],
    *,
    check: int = 8,
    seconds: float = 20.0,
    clock: Clock | None = None,
    on_progress: Callable[[float], None] | None = None,
    keep: Callable[[DeviceCosts], None] | None = None,
) -> DeviceCosts:
    """Measure the parts of a network and predict what stitches cost.

    All is measured in turns, round after round: each anchor part by part, each kind of joint between two
    blocks, each anchor whole, and ``check`` stitches whole, extracted.

    Args:
        network: It is moved to the condition's device and dtype, and stays there.
        condition: Device, runtime, dtype, images per call and threads.
        stitches: Those to predict.
        check: How many of them to measure whole, spread over the costs.
        seconds: How long to measure, exports and compilation not counted.
        clock: See `Clock`; that of the device where left out.
        on_progress: Called with the share that is done.
        keep: Called with the result, also with that of an interrupted measurement, if there is one.

    Raises:
        StitchError: The condition cannot be met here.
        KeyboardInterrupt: As it came, after ``keep`` was called.
    """
    check_condition(condition)
    device = torch.device(condition.device)
    network = network.to(device=device, dtype=DTYPES[condition.dtype])
    size = (condition.batch, *network.input_spec.size)
    x = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(next(network.parameters()))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with threads(condition.threads), evaluating(network), torch.no_grad():
        seen = survey(network, x)
        chosen = spread_over_costs(network.space, stitches, check)
        alone = [network.space.stitch(name) for name in network.anchors]
        with engine(network, condition, seen, [*alone, *chosen]) as made:
            carried = carriers(network, seen, x)
            measured = _Measured(
                seen,
                carried,
                [part_subject(each, made) for each in carried],
                [whole_subject(each, made, x) for each in alone],
                {each: whole_subject(each, made, x) for each in chosen},
            )
            stopped = _measure(measured, clock or clock_for(device), seconds, on_progress)
        costs = _costs(network, condition, stitches, measured, x, load)
    if keep:
        keep(costs)
    if stopped:
        raise stopped
    return costs


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads for torch's operators, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measure(
    measured: _Measured, clock: Clock, seconds: float, on_progress: Callable[[float], None] | None
) -> KeyboardInterrupt | None:
    subjects = [*measured.parts, *measured.anchors, *measured.checked.values()]
    try:
        for share in run_rounds(subjects, clock, seconds=seconds):
            if on_progress:
                on_progress(share)
    except KeyboardInterrupt as stopped:
        if not all(subject.times for subject in subjects):
            raise
        return stopped
    return None


def _costs(
    network: StitchedNetwork,
    condition: Condition,
    stitches: Sequence[Stitch],
    measured: _Measured,
    x: Tensor,
    load: float | None,
) -> DeviceCosts:
    seen, space = measured.survey, network.space
    work_ms = pooled(part_times(measured.carriers, measured.parts, seen))
    scale = {}
    for anchor, whole in zip(network.anchors.values(), measured.anchors, strict=True):
        parts = sum(work_ms[seen.footprints[step].work] for step in anchor_steps(anchor))
        scale[anchor.name] = median(whole.totals) / parts
    wholes = [*measured.anchors, *measured.checked.values()]
    times = PartTimes(work_ms, scale, tail_of(each.totals for each in wholes))
    rows = []
    for stitch, subject in measured.checked.items():
        ours = times.predict(space.steps(stitch), seen)
        row: dict[str, Any] = {"stitch": str(stitch), "p50_ms": ours.p50_ms, "p95_ms": ours.p95_ms}
        row["measured_p50_ms"] = median(subject.totals)
        row["measured_p95_ms"] = p95(subject.totals)
        if condition.runtime == "eager":
            peak = footprint(network.extract(stitch), x)[0].peak_bytes
            row["memory_bytes"] = ours.memory_bytes
            row["measured_memory_bytes"] = seen.weights(space.steps(stitch)) + peak
        rows.append(row)
    notes = {"parts": _parts(measured), "scale": scale, "tail": times.tail, "load": load, "check": rows}
    for name in ("p95_ms", "memory_bytes"):
        notes[f"error_{name}"] = _error(rows, name)
    predicted = {str(each): times.predict(space.steps(each), seen) for each in stitches}
    return DeviceCosts(condition, predicted, _error(rows, "p50_ms"), notes)


def _error(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    """Median relative error over the stitches that were measured whole."""
    found = [row for row in rows if f"measured_{name}" in row]
    if not found:
        return None
    return median(relative_errors([row[name] for row in found], [row[f"measured_{name}"] for row in found]))


def _parts(measured: _Measured) -> list[dict[str, Any]]:
    """The table of parts: each kind of work with all that do it, its times and its memory."""
    runs: dict[str, list[str]] = {}
    for step, found in measured.survey.footprints.items():
        text = f"{step.name} block {step.block}" if step.kind == "block" else f"{step.name} {step.kind}"
        runs.setdefault(found.work, []).append(text)
    peaks = {each.work: each.peak_bytes for each in measured.survey.footprints.values()}
    times: dict[str, list[float]] = {}
    for work, milliseconds in part_times(measured.carriers, measured.parts, measured.survey):
        times.setdefault(work, []).extend(milliseconds)
    return [
        {
            "parts": runs[work],
            "p50_ms": median(found),
            "p95_ms": p95(found),
            "peak_bytes": peaks[work],
            "calls": len(found),
        }
        for work, found in times.items()
    ]
