"""Counting multiply-accumulates (MACs) by running a module on the meta device.

Convention, that of fvcore and of the papers' tables: one multiply-add counts 1, batch 1, eval mode.
Convolutions, linear layers and matrix products (attention, fused or not) count their multiply-adds;
LayerNorm and GroupNorm 5 per element when affine; BatchNorm in eval mode 2 per element; average pooling
over rows and columns of maps, channels first, 1 per input element. Means over tokens (or over maps with
their channels last), RMSNorm, softmax, activations and additions are not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

CONVENTION = (
    "MACs at batch 1 in eval mode: 1 per multiply-add of convolutions, linear layers and attention products, "
    "5 per element of an affine LayerNorm or GroupNorm, 2 per element of BatchNorm, 1 per element of a map "
    "that is average-pooled; means over tokens, RMSNorm, activations and additions are not counted."
)

aten = torch.ops.aten


def _layer_norm(shape: Any, normalized: Any, weight: Any, *_: Any, **__: Any) -> int:
    return 2 * 5 * _elements(shape) if weight is not None else 0


def _group_norm(shape: Any, weight: Any, *_: Any, **__: Any) -> int:
    return 2 * 5 * _elements(shape) if weight is not None else 0


def _batch_norm(shape: Any, *_: Any, **__: Any) -> int:
    return 2 * 2 * _elements(shape)


def _mean(shape: Any, axes: Any = None, *_: Any, **__: Any) -> int:
    # A mean over rows and columns stands for adaptive pooling, which fvcore counts. It counts no mean over
    # tokens: the published LeViTs and Swins, which pool these, leave it out. Other means belong to norms.
    pools = len(shape) == 4 and {axis % 4 for axis in axes or ()} == {2, 3}
    return 2 * _elements(shape) if pools else 0


def _adaptive_average(shape: Any, *_: Any, **__: Any) -> int:
    return 2 * _elements(shape)


def _elements(shape: Any) -> int:
    count = 1
    for size in shape:
        count *= int(size)
    return count


# The counter speaks of two operations per multiply-add, so every rule of ours doubles.
_RULES = {
    aten.native_layer_norm: _layer_norm,
    aten.native_group_norm: _group_norm,
    aten.native_batch_norm: _batch_norm,
    aten._native_batch_norm_legit_no_training: _batch_norm,
    aten.cudnn_batch_norm: _batch_norm,
    aten.mean: _mean,
    aten._adaptive_avg_pool2d: _adaptive_average,
}


def count_macs(run: Callable[[Tensor], Tensor], x: Tensor) -> tuple[int, Tensor]:
    """Count what ``run`` does to ``x``.

    Args:
        run: A callable whose tensors lie on the same device as ``x``, best the meta device; in eval mode.
        x: Input with a batch of 1.

    Returns:
        Multiply-accumulates by the convention above, and the output.
    """
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=_RULES) as counter:
        y = run(x)
    flops = counter.get_total_flops()
    return flops // 2, y
