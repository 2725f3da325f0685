"""What is tuned: anchors that stay frozen, layers that move within a low rank, norms that joints own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from stitchable.network import StitchedNetwork
from stitchable.training.options import FROZEN, OWN, TrainOptions
from stitchable.training.step import train_mode


class LowRankUpdate(nn.Module):
    """A weight plus ``scale · B A`` of rank r: A starts at random, B at zero, so nothing changes at first.

    Args:
        weight: ``(end width, front width, …)`` with further axes of length 1.
        rank: At most the smaller width counts.
        generator: Draws A, on the CPU.

    Source: Pan et al. 2023b (SN-Netv2), low-rank stitching layers; Hu et al. 2022 (LoRA).
    """

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        end, front = weight.shape[:2]
        self.rank = min(rank, end, front)
        down = torch.empty(self.rank, front, dtype=weight.dtype)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(torch.zeros(end, self.rank, dtype=weight.dtype, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """The updated weight, in its own precision whatever autocast says."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + (self.up @ self.down / self.rank).reshape(weight.shape)


class Tuning:
    """Prepares a network for training and puts it in order afterwards.

    While it lasts, frozen anchors are in eval mode and require no gradient, and low-rank updates stand beside
    the weights of the stitching layers; `finish` merges them into plain weights. Norms or biases that
    joints get of their own stay.

    Args:
        network: Changed in place until `finish`.
        options: Its ``tune`` and ``rank``.
    """

    def __init__(self, network: StitchedNetwork, options: TrainOptions) -> None:
        self.network, self.options = network, options
        self._trainable = {each: each.requires_grad for each in network.parameters()}
        self.frozen = options.tune in FROZEN
        kind = OWN.get(options.tune)
        if kind:
            network.own_behind_joints(kind)
        if self.frozen:
            for own in network.behind.values():
                own.requires_grad_(own.kind == kind)
            for anchor in network.anchors.values():
                anchor.requires_grad_(False)
        if options.tune in ("low_rank", "low_rank_layers"):
            add_low_rank(network, options.rank)

    def train_mode(self) -> None:
        """Training mode for all that is tuned."""
        train_mode(self.network, self.options)
        if self.frozen:
            for anchor in self.network.anchors.values():
                anchor.eval()

    def finish(self) -> None:
        """Merge what was added, and let all parameters require a gradient that did before."""
        merge_low_rank(self.network)
        for parameter in self.network.parameters():
            # A weight that was merged is another tensor; it was tuned.
            parameter.requires_grad_(self._trainable.get(parameter, True))


@contextmanager
def plain_layers(network: StitchedNetwork) -> Iterator[None]:
    """While it lasts, stitching layers with an update are plain ones with its weights, as they are saved."""
    held: Any = network.layers
    updated = {
        name: layer for name, layer in network.layers.items() if parametrize.is_parametrized(layer.projection)
    }
    for name, layer in updated.items():
        weight, bias = layer.projection.weight, layer.projection.bias
        assert bias is not None
        with torch.device("meta"):  # draws nothing
            plain = type(layer)(layer.front, layer.end).to(weight.dtype)
        plain.to_empty(device=weight.device).set_affine(weight, bias)
        if layer.prefix is not None:
            plain.set_prefix(layer.prefix)
        held[name] = plain
    try:
        yield
    finally:
        for name, layer in updated.items():
            held[name] = layer


def add_low_rank(network: StitchedNetwork, rank: int) -> None:
    """Freeze the weights of the stitching layers and put a `LowRankUpdate` beside each; biases stay tuned."""
    generator = torch.Generator().manual_seed(0)
    for layer in network.layers.values():
        weight = layer.projection.weight
        update = LowRankUpdate(weight.detach(), rank, generator)
        parametrize.register_parametrization(layer.projection, "weight", update)
        weight.requires_grad_(False)


def merge_low_rank(network: StitchedNetwork) -> None:
    """Make plain weights of those with an update, each with the value that it had."""
    for layer in network.layers.values():
        if parametrize.is_parametrized(layer.projection):
            parametrize.remove_parametrizations(layer.projection, "weight", leave_parametrized=True)
