"""Weights between those before training and those after it."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def interpolate(module: nn.Module, start: nn.Module, share: float) -> None:
    """Move a module's weights and statistics back towards those it began with.

    Fine-tuned models keep more of what they could before, at little loss of what they learnt, where the
    weights of both are averaged.

    Args:
        module: The trained one; it is changed. Values that did not change stay what they are, bit for bit.
        start: The same module before training, with tensors of the same names and shapes.
        share: Of the way from ``start``: 1 changes nothing, 0 gives ``start``.

    Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", section 3.
    """
    before = start.state_dict()
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.lerp(before[name].to(value), value, share))
