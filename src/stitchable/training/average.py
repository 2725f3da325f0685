"""The average of the weights over the steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import swa_utils

from stitchable.training.local import local


class Average:
    """Exponential moving average of the parameters that are trained; buffers are those of the last step.

    Every step moves all of them, those off its path too, so that the average is over the same steps for each.

    Args:
        module: Its parameters now are the average's start.
        decay: In (0, 1); a step's weight fades by this factor with every later step.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._own = {name: each for name, each in module.named_parameters() if each.requires_grad}
        self.tensors: dict[str, Tensor] = {name: each.detach().clone() for name, each in self._own.items()}
        make: Any = swa_utils.get_ema_multi_avg_fn  # torch does not type it
        self._mix = make(decay)

    def update(self) -> None:
        """Take the parameters of now into the average."""
        self._mix(
            [local(each) for each in self.tensors.values()], [local(each) for each in self._own.values()], 0
        )

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take an average that was kept, as `tensors` gave it."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @torch.no_grad()
    def give(self) -> None:
        """Make the average the module's parameters."""
        for name, parameter in self._own.items():
            parameter.copy_(self.tensors[name])

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The module's own, which `give` changes."""
        return tuple(self._own.values())
