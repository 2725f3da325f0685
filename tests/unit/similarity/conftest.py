"""Matrices to compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import Tensor


@pytest.fixture(scope="session")
def normal() -> Callable[..., Tensor]:
    """Builder of independent normal numbers in float64."""
    import torch

    def build(*shape: int, seed: int = 0) -> Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    return build


@pytest.fixture(scope="session")
def alike(normal: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """Builder of two features of the same rows that share something, off centre, of uneven spread."""
    import torch

    def build(rows: int, front: int, end: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        x, y = normal(rows, front, seed=seed), normal(rows, end, seed=seed + 1)
        shared = min(front, end) // 2 + 1
        y[:, :shared] += x[:, :shared]
        return x * torch.logspace(0.5, -1.5, front).double() + 3, y * torch.logspace(0, 1, end).double() - 2

    return build
