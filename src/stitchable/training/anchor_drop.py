"""What an anchor has lost to its original: how it is measured, logged and complained about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchable.device import sums_device
from stitchable.errors import StitchError
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks

HeldOut = Callable[[], Iterable[tuple[Tensor, Tensor]]]


class AnchorDropError(StitchError):
    """An anchor fell further below its original than is allowed, and training stopped."""


@dataclass(frozen=True)
class GuardRecord:
    """One anchor at one measurement; a line of ``guard.jsonl``.

    Attributes:
        step: Number of steps taken before.
        anchor: Its name.
        top1: Of the measured images, in percent.
        original_top1: Of the original on the same images.
        drop: The difference, in points; negative where training made the anchor better.
        level: How often the pressure on the anchor has risen, net of its falls.
        images: Number of images.
    """

    step: int
    anchor: str
    top1: float
    original_top1: float
    drop: float
    level: int
    images: int


@torch.no_grad()
def count_right(
    network: StitchedNetwork, batches: Iterable[tuple[Tensor, Tensor]], *, ranks: Ranks = ALONE
) -> tuple[dict[str, int], int]:
    """Number of images that each anchor gets right, and of all images.

    Args:
        network: Its anchors run in eval mode; modes are restored.
        batches: Normalised images ``(batch, channels, rows, columns)`` and labels ``(batch,)``.
        ranks: The processes that share the images: ``batches`` are then this one's, and all get the sums.

    Raises:
        StitchError: There are no images.
    """
    device = next(network.parameters()).device
    where = sums_device(device)
    right, seen = dict.fromkeys(network.anchors, torch.zeros((), dtype=torch.int64, device=where)), 0
    with evaluating(network):
        for images, labels in batches:
            images, labels = images.to(device), labels.to(where)
            for name, anchor in network.anchors.items():
                right[name] = right[name] + (anchor(images).argmax(1).to(where) == labels).sum()
            seen += len(labels)
    told = ranks.gather(({name: int(count) for name, count in right.items()}, seen))
    seen = sum(images for _, images in told)
    if not seen:
        raise StitchError("The anchors' guard has no images. Give at least one.")
    return {name: sum(counts[name] for counts, _ in told) for name in right}, seen
