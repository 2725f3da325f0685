"""The training-free scores by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from stitchable.reassembly.scores.grad_norm import grad_norm
from stitchable.reassembly.scores.jacov import jacov
from stitchable.reassembly.scores.naswot import naswot
from stitchable.reassembly.scores.snip import snip
from stitchable.reassembly.scores.synflow import synflow

Score = Callable[[nn.Module, Sequence[Tensor], Sequence[Tensor]], float]
"""Of a module, batches of images and their labels; more is better."""

SCORES: dict[str, Score] = {
    "naswot": lambda module, batches, targets: naswot(module, batches),
    "synflow": lambda module, batches, targets: synflow(module, batches),
    "snip": snip,
    "grad_norm": grad_norm,
    "jacov": lambda module, batches, targets: jacov(module, batches),
}
