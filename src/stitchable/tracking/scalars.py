"""From the records of a training to the points of curves, few enough to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stitchable.stitch import Stitch
from stitchable.training.anchor_drop import GuardRecord
from stitchable.training.loop import StepRecord, TrainSummary


class Scalars:
    """Means over the steps of a point.

    A space of 71 stitches gives no 71 curves: a stitch is trained too seldom to make one, and what differs is
    mostly where it comes from and where it ends. So there is a curve per anchor and one per path of anchors;
    each stitch's own losses are in ``train.jsonl``.

    Args:
        every: Steps per point.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._values: dict[str, list[float]] = {}
        self._last: StepRecord | None = None
        self._began: float | None = None
        self._images = 0

    def add(self, record: StepRecord) -> dict[str, float]:
        """Take a step in.

        Returns:
            The point that the step completes; empty where it completes none.
        """
        for name, value in _named(record):
            self._values.setdefault(name, []).append(value)
        if self._began is None:  # what came before the first step is no step's time
            self._began = record.seconds
        else:
            self._images += record.images
        self._last = record
        return self.rest() if (record.step + 1) % self.every == 0 else {}

    def rest(self) -> dict[str, float]:
        """The point of the steps since the last one; empty where there are none."""
        if self._last is None or not self._values:
            return {}
        last, seconds = self._last, self._last.seconds - (self._began or 0.0)
        point = {name: sum(values) / len(values) for name, values in self._values.items()}
        point |= {"epoch": float(last.epoch), "lr/anchors": last.lr, "lr/layers": last.layer_lr}
        if self._images and seconds > 0:
            point["images_per_second"] = self._images / seconds
        self._values, self._began, self._images = {}, last.seconds, 0
        return point


def _named(record: StepRecord) -> Iterator[tuple[str, float]]:
    yield "loss", record.loss
    for name, value in record.terms.items():
        yield f"terms/{name}", value
    for text, loss in zip(record.stitches, record.losses, strict=True):
        anchors = Stitch.parse(text).anchors
        yield f"{'stitch_loss' if len(anchors) > 1 else 'anchor_loss'}/{'_to_'.join(anchors)}", loss


def guard_point(record: GuardRecord) -> Mapping[str, float]:
    """What the anchors' guard measured of one anchor, in percent and points of top-1."""
    return {f"anchor_top1/{record.anchor}": record.top1, f"anchor_drop/{record.anchor}": record.drop}


def summary_values(summary: TrainSummary) -> dict[str, float]:
    """What is known in the end; a cell each."""
    counts = summary.counts.values()
    return {
        "steps": summary.steps,
        "seconds": summary.seconds,
        "stitches_trained": len(counts),
        "fewest_steps_of_a_stitch": min(counts, default=0),
        "most_steps_of_a_stitch": max(counts, default=0),
        "macs_run": summary.macs_run,
        "macs_saved_share": 1 - summary.macs_run / summary.macs_alone if summary.macs_alone else 0.0,
        **{f"anchor_drop/{name}": drop for name, drop in summary.anchor_drops.items()},
    }
