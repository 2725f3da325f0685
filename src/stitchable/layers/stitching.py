"""The stitching layer: a linear layer on tokens, a 1×1 convolution on maps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec


class StitchingLayer(nn.Module):
    """Affine map from the front's width to the end anchor's width, applied at every position.

    Args:
        front: Feature that comes in; ``(batch, positions, front.width)`` or
            ``(batch, front.width, rows, columns)``.
        end: Feature that the end anchor expects; same kind, grid and prefix tokens.

    Raises:
        StitchError: The two features differ in more than width.

    Source: Pan et al. 2023, section 3.2.
    """

    def __init__(self, front: FeatureSpec, end: FeatureSpec) -> None:
        super().__init__()
        reason = front.mismatch(end)
        if reason:
            raise StitchError(f"No stitching layer carries this feature: {reason}.")
        self.projection: nn.Linear | nn.Conv2d = (
            nn.Linear(front.width, end.width)
            if front.kind == "tokens"
            else nn.Conv2d(front.width, end.width, kernel_size=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map the channels of every token or pixel."""
        y: Tensor = self.projection(x)
        return y

    @torch.no_grad()
    def set_affine(self, weight: Tensor, bias: Tensor) -> None:
        """Take over an affine map.

        Args:
            weight: ``(end width, front width)``, any floating dtype; rounded to the layer's.
            bias: ``(end width,)``.
        """
        self.projection.weight.copy_(weight.reshape(self.projection.weight.shape))
        assert self.projection.bias is not None
        self.projection.bias.copy_(bias)

    @torch.no_grad()
    def reset_kaiming(self, generator: torch.Generator) -> None:
        """Kaiming-uniform weights with a = √5 and uniform bias, as torch's layers start.

        Source: He et al. 2015; the papers' initialisation where least squares is not used.
        """
        bound = 1 / math.sqrt(self.projection.weight.shape[1])
        nn.init.kaiming_uniform_(self.projection.weight, a=math.sqrt(5), generator=generator)
        assert self.projection.bias is not None
        self.projection.bias.uniform_(-bound, bound, generator=generator)


def rows(x: Tensor) -> Tensor:
    """Feature as a matrix ``(batch · positions, width)``: one row per token or pixel."""
    if x.ndim == 4:
        return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    return x.reshape(-1, x.shape[-1])
