"""Tensors that may be in pieces, one in each process."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def in_pieces(tensor: Tensor) -> bool:
    """Whether this process holds a piece of it; asked without importing what makes such tensors."""
    return hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """This process's piece of a tensor, off the graph and in the same memory; all of it where it is whole."""
    own: Any = tensor.detach()
    piece: Tensor = own.to_local() if in_pieces(own) else own
    return piece
