"""Which axis of a feature holds its channels, and how many tokens lead: read off the layers that take it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt
from typing import Any

from torch import Tensor, nn

from stitchable.errors import StitchError

MOST_PREFIX_TOKENS = 5
_POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)


@contextmanager
def witnessed(model: nn.Module) -> Iterator[dict[tuple[int, ...], set[int]]]:
    """While the model runs, collect the channel axis (1 or −1) of every shape that its layers show.

    Convolutions, BatchNorm and pooling have the channels on axis 1, `Linear` and `LayerNorm` on the last.
    """
    axes: dict[tuple[int, ...], set[int]] = {}

    def look(layer: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        for tensor, side in ((given[0] if given else None, "in"), (made, "out")):
            if isinstance(tensor, Tensor) and tensor.ndim in (3, 4):
                axis = _channel_axis(layer, tuple(tensor.shape), side)
                if axis is not None:
                    axes.setdefault(tuple(tensor.shape), set()).add(axis)

    hooks = [layer.register_forward_hook(look) for layer in model.modules()]
    try:
        yield axes
    finally:
        for hook in hooks:
            hook.remove()


def _channel_axis(layer: nn.Module, shape: tuple[int, ...], side: str) -> int | None:
    if len(shape) == 4:
        if isinstance(layer, _POOLINGS):
            return 1
        if isinstance(layer, nn.BatchNorm2d) and layer.num_features == shape[1]:
            return 1
        if isinstance(layer, nn.Conv2d):
            return 1 if shape[1] == (layer.in_channels if side == "in" else layer.out_channels) else None
    # Subclasses of LayerNorm often norm another axis.
    if type(layer) is nn.LayerNorm and tuple(layer.normalized_shape) == shape[-1:]:
        return -1
    if isinstance(layer, nn.Linear):
        return -1 if shape[-1] == (layer.in_features if side == "in" else layer.out_features) else None
    if isinstance(layer, nn.MultiheadAttention) and layer.batch_first and layer.embed_dim == shape[-1]:
        return -1
    return None


def prefix_tokens(tokens: int, image: tuple[int, int]) -> int:
    """Number of tokens in front of a square grid.

    Args:
        tokens: Number of all tokens.
        image: Rows and columns of the input.

    Raises:
        StitchError: The rest is no square grid of patches of a square image, or too many tokens lead.
    """
    side = isqrt(tokens)
    prefix = tokens - side * side
    if image[0] != image[1] or image[0] % side or prefix > MOST_PREFIX_TOKENS:
        raise StitchError(
            f"{tokens} tokens of a {image[0]}×{image[1]} image are not a square grid behind at most "
            f"{MOST_PREFIX_TOKENS} prefix tokens."
        )
    return prefix
