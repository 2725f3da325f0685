"""The stitching layer: an affine map of the channels, and what else brings one feature to another."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stitchable.feature import FeatureSpec
from stitchable.layers.adapters import put_together, resample, take_apart


class StitchingLayer(nn.Module):
    """Affine map from the front's width to the end anchor's width, applied at every position.

    Where the two features differ in more than width, the grid is resampled (averaged where it shrinks,
    interpolated where it grows, on whichever side of the map fewer positions are), maps become tokens or
    tokens maps, and prefix tokens beyond those of the end anchor are dropped. Prefix tokens that the front
    does not have are a parameter of the layer, ``prefix``: the same for every image, as in a stem.

    Args:
        front: Feature that comes in.
        end: Feature that the end anchor expects.

    Source: Pan et al. 2023, section 3.2; resampling and prefix tokens are ours.
    """

    def __init__(self, front: FeatureSpec, end: FeatureSpec) -> None:
        super().__init__()
        self.front = front
        self.end = end
        self._adapts = bool(front.differences(end))
        # A grid that shrinks does so before the map, one that grows after it: fewer multiply-adds.
        self._grid = end.grid if math.prod(end.grid) < math.prod(front.grid) else front.grid
        self.kept = min(front.prefix_tokens, end.prefix_tokens)
        self.projection: nn.Linear | nn.Conv2d = (
            nn.Conv2d(front.width, end.width, kernel_size=1)
            if front.kind == "map" and not front.channels_last
            else nn.Linear(front.width, end.width)
        )
        missing = end.prefix_tokens - self.kept
        self.prefix = nn.Parameter(torch.zeros(missing, end.width)) if missing else None

    def forward(self, x: Tensor) -> Tensor:
        """Map the channels of every token or pixel.

        Args:
            x: Feature of the front, shaped as its spec says.

        Returns:
            Feature shaped as the end anchor's spec says.
        """
        if not self._adapts:
            y: Tensor = self.projection(x)
            return y
        prefix, grid = take_apart(x, self.front)
        grid = self._map(resample(grid, self._grid))
        tokens = [self._map(prefix[:, : self.kept])] if self.kept else []
        if self.prefix is not None:
            tokens.append(self.prefix.to(grid.dtype).expand(len(grid), -1, -1))
        return put_together(tokens, resample(grid, self.end.grid), self.end)

    def _map(self, x: Tensor) -> Tensor:
        """Affine map along the last axis."""
        if isinstance(self.projection, nn.Conv2d):
            x = x.permute(0, 3, 1, 2)
        y: Tensor = self.projection(x)
        return y.permute(0, 2, 3, 1) if isinstance(self.projection, nn.Conv2d) else y

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
    def set_prefix(self, tokens: Tensor) -> None:
        """Take over the prefix tokens that the front does not have, ``(missing, end width)``."""
        assert self.prefix is not None
        self.prefix.copy_(tokens)

    @torch.no_grad()
    def reset_kaiming(self, generator: torch.Generator) -> None:
        """Kaiming-uniform weights with a = √5 and uniform bias, as torch's layers start.

        Source: He et al. 2015; the papers' initialisation where least squares is not used.
        """
        bound = 1 / math.sqrt(self.projection.weight.shape[1])
        nn.init.kaiming_uniform_(self.projection.weight, a=math.sqrt(5), generator=generator)
        assert self.projection.bias is not None
        self.projection.bias.uniform_(-bound, bound, generator=generator)
