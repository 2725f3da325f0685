"""Optimiser and schedule: separate learning rates for anchors and stitching layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.training.local import in_pieces
from stitchable.training.options import StepOptions, TrainOptions
from stitchable.training.parts import learning_rate_factors


def build_optimizer(network: StitchedNetwork, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW or SGD over the parameters that require a gradient.

    Groups are named ``anchors``, ``layers`` and ``behind`` (what joints own of the anchors), each with and
    without weight decay (vectors decay not), and once more for every factor of ``lr_multipliers``; those with
    the factor 1 come last. A parameter outside the step's path has no gradient and is left alone, momentum
    included.

    Raises:
        StitchError: A multiplier names no part of the network, or nothing at all is tuned.
    """
    factors = learning_rate_factors(network, options.lr_multipliers)
    layer_lr = options.lr if options.layer_lr is None else options.layer_lr
    groups: list[dict[str, Any]] = []
    parts: tuple[tuple[str, Any, float], ...] = (
        ("anchors", network.anchors, options.lr),
        ("layers", network.layers, layer_lr),
        ("behind", network.behind, options.lr),
    )
    for name, module, lr in parts:
        owned = list(module.parameters())
        for factor in sorted({factors[each] for each in owned}, key=lambda factor: (factor == 1, factor)):
            chosen = [each for each in owned if factors[each] == factor]
            groups += parameter_groups(name, chosen, lr=factor * lr, weight_decay=options.weight_decay)
    if not groups:
        raise StitchError("Nothing is tuned: no parameter requires a gradient. Set train.tune to 'all'.")
    return make_optimizer(groups, options)


def make_optimizer(groups: list[dict[str, Any]], options: StepOptions) -> torch.optim.Optimizer:
    """AdamW, or SGD with Nesterov momentum 0.9, over groups made by `parameter_groups`."""
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=options.lr)


def parameter_groups(
    name: str, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups called ``name`` of the parameters that require a gradient; vectors do not decay.

    Those in pieces are apart: torch updates the parameters of a group at once, all of one kind.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            groups.setdefault((parameter.ndim <= 1, in_pieces(parameter)), []).append(parameter)
    return [
        {"name": name, "params": groups[key], "lr": lr, "weight_decay": 0.0 if key[0] else weight_decay}
        for key in sorted(groups)
    ]


def build_schedule(optimizer: torch.optim.Optimizer, options: StepOptions, *, steps: int) -> LambdaLR:
    """Linear warm-up, then a cosine to ``lr_floor`` of the peak; each group keeps its own peak.

    Args:
        optimizer: Its groups' learning rates are the peaks.
        options: See `StepOptions`.
        steps: Length of the whole training.
    """
    warmup = round(options.warmup * steps)

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)  # no step is taken with a rate of 0
        done = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return options.lr_floor + (1 - options.lr_floor) * (1 + math.cos(math.pi * done)) / 2

    return LambdaLR(optimizer, share)
