"""How far a student is from what it is to learn; everything in float32 at least."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def label_loss(logits: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy in nats, mean over the images.

    Args:
        logits: ``(batch, classes)``.
        targets: Labels ``(batch,)``, int64, or shares ``(batch, classes)`` that sum to one.
        smoothing: Share of each target that is spread evenly over all classes.
    """
    logits = at_least_float32(logits)
    if targets.is_floating_point():
        targets = targets.to(logits.dtype)
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


def divergence(logits: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Kullback-Leibler divergence from the teacher's shares to the student's, mean over the images.

    Multiplied by the squared temperature, so that its gradient keeps its size.

    Args:
        logits: ``(batch, classes)``.
        teacher: Logits ``(batch, classes)``; no gradient goes there.
        temperature: Divides both.

    Source: Hinton, Vinyals and Dean 2015, section 2.
    """
    ours = F.log_softmax(at_least_float32(logits) / temperature, 1)
    theirs = F.log_softmax(at_least_float32(teacher.detach()) / temperature, 1)
    return temperature**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def feature_distance(feature: Tensor, target: Tensor, *, channels: int) -> Tensor:
    """Squared error as a share of the target's variance, which is 1 − R².

    Args:
        feature: What is to become like the target.
        target: Of the same shape; no gradient goes there.
        channels: The axis of channels; each is centred by its mean over images and positions.
    """
    feature, target = at_least_float32(feature), at_least_float32(target.detach())
    others = [axis for axis in range(target.ndim) if axis != channels % target.ndim]
    spread = (target - target.mean(others, keepdim=True)).square().sum()
    return (feature - target).square().sum() / spread.clamp_min(torch.finfo(spread.dtype).eps)


def at_least_float32(x: Tensor) -> Tensor:
    """The same numbers, in float32 where they came in half precision."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
