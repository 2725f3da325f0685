"""Top-1 and loss of one plain model."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stitchable.device import sums_device
from stitchable.errors import StitchError
from stitchable.evaluation.answers import Tally
from stitchable.modes import evaluating


@torch.no_grad()
def tally_module(module: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Tally:
    """Count what a model gets right, in eval mode.

    Args:
        module: From images to logits ``(batch, classes)``; modes are restored afterwards.
        batches: Normalised images ``(batch, channels, rows, columns)`` and labels ``(batch,)``, int64.

    Raises:
        StitchError: No images came.
    """
    device = next(module.parameters()).device
    where = sums_device(device)
    correct, loss, images = 0, 0.0, 0
    with evaluating(module):
        for batch, labels in batches:
            labels, logits = labels.to(where), module(batch.to(device)).to(where)
            correct += int((logits.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(logits.double(), labels, reduction="sum"))
            images += len(batch)
    if images == 0:
        raise StitchError("There were no images to measure. Give at least one.")
    return Tally(correct, loss, images)
