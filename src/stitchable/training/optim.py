"""Optimiser and schedule: separate learning rates for anchors and stitching layers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from stitchable.network import StitchedNetwork
from stitchable.training.options import TrainOptions


def build_optimizer(network: StitchedNetwork, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW or SGD over the parameters that require a gradient.

    Groups are named ``anchors`` and ``layers``, each with and without weight decay (vectors decay not).
    A parameter outside the step's path has no gradient and is left alone, momentum included.
    """
    layer_lr = options.lr if options.layer_lr is None else options.layer_lr
    groups: list[dict[str, Any]] = []
    parts: tuple[tuple[str, Any, float], ...] = (
        ("anchors", network.anchors, options.lr),
        ("layers", network.layers, layer_lr),
    )
    for name, module, lr in parts:
        groups += _groups(name, module, lr, options.weight_decay)
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=options.lr)


def _groups(name: str, module: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [
        {"name": name, "params": chosen, "lr": lr, "weight_decay": decay}
        for chosen, decay in ((matrices, weight_decay), (vectors, 0.0))
        if chosen
    ]


class Schedule:
    """Linear warm-up from 0, then a cosine to ``lr_floor`` of the peak; each group keeps its own peak.

    Args:
        optimizer: Its groups' learning rates are the peaks.
        options: See `TrainOptions`.
        steps: Length of the whole training.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, options: TrainOptions, *, steps: int) -> None:
        self.optimizer, self.steps, self.floor = optimizer, steps, options.lr_floor
        self.warmup = round(options.warmup * steps)
        self.peaks = [group["lr"] for group in optimizer.param_groups]

    def share(self, step: int) -> float:
        """Share of the peak at ``step``, counted from 0."""
        if step < self.warmup:
            return step / self.warmup
        done = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2

    def set(self, step: int) -> None:
        """Give every group its learning rate for ``step``."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * self.share(step)
