"""SNIP: how much the loss depends on single weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from stitchable.reassembly.scores.gradients import loss_gradients


def snip(module: nn.Module, batches: Sequence[Tensor], targets: Sequence[Tensor]) -> float:
    """Sum of ``|weight · gradient|`` over the weights of all linear and convolutional layers.

    To first order, what the loss changes by when a weight is taken away.

    Args:
        module: In eval mode; nothing of it changes.
        batches: See `loss_gradients`; the loss is the mean over all images.
        targets: Their labels, int64.

    Returns:
        More is better, in nats.

    Raises:
        StitchError: See `loss_gradients`.

    Source: Lee, Ajanthan and Torr 2019, summed over the network as in Abdelfattah et al. 2021.
    """
    found = loss_gradients(module, batches, targets)
    return sum(float(each.product.abs().sum()) for each in found)
