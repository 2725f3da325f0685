"""Gradients of a network's weights, of a copy of it, so that nothing of the network changes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from stitchable.errors import StitchError


class Weight(NamedTuple):
    """A weight with the gradient that reaches it, of equal shape."""

    weight: nn.Parameter
    gradient: Tensor

    @property
    def product(self) -> Tensor:
        """Weight times gradient, detached, float64."""
        return self.weight.detach().double() * self.gradient.double()


def bare_copy(module: nn.Module) -> nn.Module:
    """A copy in eval mode whose parameters all take part in gradients."""
    copied = copy.deepcopy(module).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(True)
    return copied


def weights(module: nn.Module) -> list[nn.Parameter]:
    """The weights of all linear and convolutional layers, each of them once; no norms, biases or tokens.

    Source: Abdelfattah et al. 2021, who score these.
    """
    found: dict[nn.Parameter, None] = {}
    for part in module.modules():
        if isinstance(part, nn.Linear | _ConvNd):
            assert isinstance(part.weight, nn.Parameter)
            found.setdefault(part.weight)
    return list(found)


def loss_gradients(module: nn.Module, batches: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Weight]:
    """Gradients of the mean cross-entropy over all images, for the weights that it reaches.

    Args:
        module: Run in eval mode: a BatchNorm layer uses the statistics that it holds, so that the score does
            not depend on how images are put into batches.
        batches: Normalised images ``(batch, channels, rows, columns)``.
        targets: Labels ``(batch,)``, int64, for each batch.

    Raises:
        StitchError: No images came, other numbers of labels, or the loss is not finite.
    """
    sizes = [len(each) for each in batches], [len(each) for each in targets]
    if not batches or sizes[0] != sizes[1]:
        raise StitchError(
            f"Gradients need images with a label each; got batches of {sizes[0]} images and {sizes[1]} "
            "labels. Give as many of both."
        )
    copied, images = bare_copy(module), sum(sizes[0])
    found: dict[nn.Parameter, Tensor] = {}
    for batch, labels in zip(batches, targets, strict=True):
        with torch.enable_grad():
            loss = F.cross_entropy(copied(batch), labels, reduction="sum") / images
        if not torch.isfinite(loss):
            raise StitchError("The loss is not finite, so its gradients say nothing. Take another score.")
        for each in gradients_of(loss, copied):
            found[each.weight] = found.get(each.weight, 0) + each.gradient
    return [Weight(weight, gradient) for weight, gradient in found.items()]


def gradients_of(value: Tensor, module: nn.Module) -> list[Weight]:
    """The `weights` that a scalar depends on, with its gradients."""
    asked = weights(module)
    found = torch.autograd.grad(value, asked, allow_unused=True)
    return [Weight(weight, each) for weight, each in zip(asked, found, strict=True) if each is not None]
