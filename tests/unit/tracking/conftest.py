"""A training as its records, to be followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stitchable.errors import Interrupted
from stitchable.tracking.options import TrackOptions
from stitchable.tracking.tracker import Tracker
from stitchable.tracking.tracking import Tracking
from stitchable.training.anchor_drop import GuardRecord
from stitchable.training.loop import StepRecord, TrainSummary


@pytest.fixture(scope="session")
def record() -> Callable[..., StepRecord]:
    """Builder of the record of a step; its loss is its number, and it takes half a second for ten images."""

    def build(step: int, *stitches: str, losses: tuple[float, ...] = ()) -> StepRecord:
        return StepRecord(
            step=step,
            epoch=step // 4,
            stitches=list(stitches or ["small[0:3]"]),
            loss=float(step),
            losses=list(losses or [float(step)]),
            terms={"cross_entropy": 2.0 * step},
            lr=0.1,
            layer_lr=0.2,
            images=10,
            seconds=1 + 0.5 * step,
        )

    return build


@pytest.fixture
def follow(tmp_path: Path, record: Callable[..., StepRecord]) -> Callable[..., Path]:
    """Follows steps ``first`` to ``last - 1`` of eight, the guard's measurement after each fourth one too."""

    def call(
        library: str, first: int, last: int, *, every: int = 1, trackers: dict[str, Tracker] | None = None
    ) -> Path:
        options = TrackOptions(library, project="of-the-tests", every=every)
        tracking = Tracking(options, tmp_path / "tracking", name="a run", trackers=trackers)
        tracking.start({"train": {"lr": 0.1, "tune": "all"}, "anchors": ["small", "big"]}, done=first)
        try:
            with tracking:
                for step in range(first, last):
                    tracking.write(record(step))
                    if step % 4 == 3:
                        tracking.write(GuardRecord(step + 1, "small", 90.0, 90.5, 0.5, 0, 200))
                if last < 8:
                    raise Interrupted("asked to", signal=2)
                tracking.finish(TrainSummary(8, 5.0, {"small[0:3]": 8}, 60, 80, {"small": 0.5}))
        except Interrupted:
            pass
        return tmp_path / "tracking" / library

    return call
