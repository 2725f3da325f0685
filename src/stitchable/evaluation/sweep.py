"""The sweep: top-1 and loss of many stitches in one reading of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stitchable.device import sums_device
from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.pareto import front
from stitchable.evaluation.statistics import wilson_interval
from stitchable.evaluation.trie import Trie
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.stitch import Stitch


@dataclass(frozen=True)
class Tally:
    """Sums over the images that one stitch has seen.

    Attributes:
        correct: Number of images whose largest logit is their label's.
        loss: Sum of the cross-entropies in nats.
        images: Number of images.
        calibration_images: Number of images on which its BatchNorm statistics behind the joints were
            adjusted; ``None`` where they are the anchors' own.
    """

    correct: int
    loss: float
    images: int
    calibration_images: int | None = None


@torch.no_grad()
def tally(
    network: StitchedNetwork,
    stitches: Sequence[Stitch],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    calibration: Iterable[Tensor] | None = None,
    half: bool = False,
    on_batch: Callable[[int], None] | None = None,
    ranks: Ranks = ALONE,
) -> list[Tally]:
    """Count what every stitch gets right, in eval mode; the data are read once.

    Args:
        network: Modes are restored afterwards, and its buffers do not change.
        stitches: What to measure.
        batches: Normalised images ``(batch, channels, rows, columns)`` and labels ``(batch,)``, int64.
        calibration: See `Trie`; ``None`` measures every stitch with the anchors' own BatchNorm statistics.
        half: Compute under bfloat16 autocast, but for the calibration.
        on_batch: Called with the number of images after each batch, of whichever process.
        ranks: The processes that share the work: ``batches`` and ``calibration`` are then this one's, of
            all batches those of its `Ranks.share`. All get the same tallies, and where a batch gives the
            same logits in any of them, these are those of one process, to the last bit.

    Returns:
        One tally per stitch, in the order given.

    Raises:
        StitchError: No images came, to measure on or to calibrate with.
    """
    correct = torch.zeros(len(stitches), dtype=torch.int64)
    loss = torch.zeros(len(stitches), dtype=torch.float64)
    images = 0
    with evaluating(network):
        trie = Trie(network, stitches, calibration=calibration, ranks=ranks)
        # Sums of single batches, so that they are added up in the order of batches whoever made them.
        for sums in ranks.in_turn(_batch_sums(trie, len(stitches), *batch, half=half) for batch in batches):
            correct += sums.correct
            loss += sums.loss
            images += sums.images
            if on_batch:
                on_batch(sums.images)
    if images == 0:
        raise StitchError("The sweep saw no images. Give at least one batch.")
    seen = [trie.calibration_images if each in trie.calibrated else None for each in range(len(stitches))]
    counted = zip(correct, loss, seen, strict=True)
    return [Tally(int(right), float(total), images, each) for right, total, each in counted]


class _BatchSums(NamedTuple):
    correct: Tensor  # (stitches,), int64
    loss: Tensor  # (stitches,), float64
    images: int


def _batch_sums(trie: Trie, stitches: int, images: Tensor, labels: Tensor, *, half: bool) -> _BatchSums:
    device = next(trie.network.parameters()).device
    where = sums_device(device)
    labels = labels.to(where)
    correct = torch.zeros(stitches, dtype=torch.int64, device=where)
    loss = torch.zeros(stitches, dtype=torch.float64, device=where)
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        found = list(trie.run(images.to(device)))
    for position, logits in found:
        logits = logits.to(where)
        correct[position] = (logits.argmax(1) == labels).sum()
        loss[position] = F.cross_entropy(logits.double(), labels, reduction="sum")
    return _BatchSums(correct.cpu(), loss.cpu(), len(images))


def sweep(
    network: StitchedNetwork,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    stitches: Sequence[Stitch] | None = None,
    originals: dict[str, Tally] | None = None,
    calibration: Iterable[Tensor] | None = None,
    half: bool = False,
    on_batch: Callable[[int], None] | None = None,
    ranks: Ranks = ALONE,
) -> list[CurveRow]:
    """Measure stitches and put them into rows of the curve.

    Args:
        network: Modes are restored afterwards, and its buffers do not change.
        batches: See `tally`.
        stitches: What to measure; the whole space where left out.
        originals: Tallies of the anchors before joint training, by name, on the same images.
        calibration: See `tally`.
        half: See `tally`.
        on_batch: See `tally`.
        ranks: See `tally`.

    Returns:
        One row per stitch, in the order of their indices.
    """
    chosen = sorted(network.space if stitches is None else stitches, key=network.space.index)
    tallies = tally(
        network, chosen, batches, calibration=calibration, half=half, on_batch=on_batch, ranks=ranks
    )
    costs = [network.cost(stitch) for stitch in chosen]
    top1 = [100 * each.correct / each.images for each in tallies]
    on_front = front([cost.macs for cost in costs], top1)
    rows = []
    for stitch, each, cost, accuracy, best in zip(chosen, tallies, costs, top1, on_front, strict=True):
        low, high = wilson_interval(each.correct, each.images)
        anchor = stitch.anchors[0] if len(stitch.segments) == 1 else None
        before = (originals or {}).get(anchor) if anchor else None
        interval = wilson_interval(before.correct, before.images) if before else (None, None)
        rows.append(
            CurveRow(
                index=network.space.index(stitch),
                stitch=str(stitch),
                macs=cost.macs,
                params=cost.params,
                top1=accuracy,
                top1_low=low,
                top1_high=high,
                loss=each.loss / each.images,
                images=each.images,
                on_front=best,
                anchor=anchor,
                original_top1=100 * before.correct / before.images if before else None,
                original_top1_low=interval[0],
                original_top1_high=interval[1],
                original_loss=before.loss / before.images if before else None,
                calibration_images=each.calibration_images,
            )
        )
    return rows
