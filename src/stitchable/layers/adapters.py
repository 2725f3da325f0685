"""Adapters: one feature in the geometry of another. Tokens and maps, grids, prefix tokens, layouts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stitchable.feature import FeatureSpec


def take_apart(x: Tensor, spec: FeatureSpec) -> tuple[Tensor, Tensor]:
    """Prefix tokens and grid of a feature.

    Args:
        x: As ``spec`` says.
        spec: Its description.

    Returns:
        Tokens ``(batch, prefix_tokens, width)``, none of them for a map, and the grid
        ``(batch, rows, columns, width)``; views of ``x``.
    """
    if spec.kind == "tokens":
        return x[:, : spec.prefix_tokens], x[:, spec.prefix_tokens :].reshape(len(x), *spec.grid, -1)
    grid = x if spec.channels_last else x.permute(0, 2, 3, 1)
    return grid[:, 0, :0], grid


def put_together(prefix: Sequence[Tensor], grid: Tensor, spec: FeatureSpec) -> Tensor:
    """The inverse of `take_apart`.

    Args:
        prefix: Tokens ``(batch, number, width)`` that lead, in order; nothing for a map.
        grid: Positions ``(batch, rows, columns, width)``.
        spec: What to make of them.
    """
    if spec.kind == "tokens":
        return torch.cat([*prefix, grid.flatten(1, 2)], 1) if prefix else grid.flatten(1, 2)
    return grid if spec.channels_last else grid.permute(0, 3, 1, 2)


def resample(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Grid ``(batch, rows, columns, width)`` with another number of rows and columns.

    A grid that grows along neither side is averaged over the areas that fall together, as an adaptive
    average pooling does; otherwise it is interpolated bilinearly. Either is linear in the grid and leaves
    constants alone, so it commutes with an affine map of the channels.
    """
    rows, columns = grid.shape[1:3]
    if (rows, columns) == size:
        return grid
    channels_first = grid.permute(0, 3, 1, 2)
    if size[0] <= rows and size[1] <= columns:
        out = F.adaptive_avg_pool2d(channels_first, size)
    else:
        out = F.interpolate(channels_first, size, mode="bilinear", align_corners=False)
    return out.permute(0, 2, 3, 1)


def rows_on(x: Tensor, spec: FeatureSpec, *, grid: tuple[int, int], prefix: int) -> Tensor:
    """Feature as a matrix with one row per token or pixel, in another geometry.

    Args:
        x: As ``spec`` says.
        spec: Its description.
        grid: Rows and columns to resample its grid to.
        prefix: How many of its prefix tokens to keep, the leading ones.

    Returns:
        ``(batch · (prefix + rows · columns), width)``; image by image, prefix tokens first.
    """
    if spec.kind == "tokens" and spec.grid == grid and spec.prefix_tokens == prefix:
        return x.reshape(-1, x.shape[-1])
    tokens, positions = take_apart(x, spec)
    positions = resample(positions, grid).flatten(1, 2)
    if prefix:
        positions = torch.cat([tokens[:, :prefix], positions], 1)
    return positions.reshape(-1, positions.shape[-1])
