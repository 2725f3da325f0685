"""The norm of a network's gradients."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from stitchable.reassembly.scores.gradients import loss_gradients


def grad_norm(module: nn.Module, batches: Sequence[Tensor], targets: Sequence[Tensor]) -> float:
    """Sum over all linear and convolutional layers of the Euclidean norm of their weight's gradient.

    Args:
        module: In eval mode; nothing of it changes.
        batches: See `loss_gradients`; the loss is the mean over all images.
        targets: Their labels, int64.

    Returns:
        More is better.

    Raises:
        StitchError: See `loss_gradients`.

    Source: Abdelfattah, Mehrotra, Dudziak and Lane 2021, section 3.
    """
    found = loss_gradients(module, batches, targets)
    return sum(float(each.gradient.double().norm()) for each in found)
