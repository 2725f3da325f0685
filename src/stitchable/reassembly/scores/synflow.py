"""SynFlow: how much can flow through a network, whatever the images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stitchable.errors import StitchError
from stitchable.reassembly.scores.gradients import bare_copy, gradients_of


def synflow(module: nn.Module, batches: Sequence[Tensor]) -> float:
    """Sum of ``weight · ∂R/∂weight`` over the weights of all linear and convolutional layers.

    R is the sum of the logits for an image of ones, all parameters being replaced by their absolute values:
    in a network of layers without bias and ReLUs the product of the absolute weights along each path, summed
    over all paths. Computed in float64, on a copy. BatchNorm layers are in eval mode and use the statistics
    that they hold.

    A layer norm subtracts the mean of what it gets, so nothing behind it is a sum of paths any more and the
    norm takes away what the scale of earlier weights did: for transformers the number is defined, but it is
    no flow, and it says little of the layers before a norm.

    Args:
        module: Nothing of it changes.
        batches: Only the shape of an image is read, off the first batch ``(batch, channels, rows, columns)``.

    Returns:
        More is better.

    Raises:
        StitchError: No batch came, or the sum is too large for float64.

    Source: Tanaka, Kunin, Yamins and Ganguli 2020; as a score Abdelfattah et al. 2021.
    """
    if not batches:
        raise StitchError("SynFlow needs the shape of an image. Give at least one batch.")
    copied = bare_copy(module).double()
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.abs_()
    shape = batches[0].shape[1:]
    ones = torch.ones((1, *shape), dtype=torch.float64, device=batches[0].device)
    with torch.enable_grad():
        total = copied(ones).sum()
    flow = sum(float(each.product.sum()) for each in gradients_of(total, copied))
    if not math.isfinite(flow):
        raise StitchError("The flow of this network is too large for float64. Take another score.")
    return flow
