"""The small parameters of a model: what its norms scale and shift by, and its biases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

Vectors = Literal["norms", "biases"]

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_CALLED_NORM = re.compile(r"Norm(Act)?(\d[dD].*)?$")  # libraries have their own, such as RmsNorm2d


def vector_names(model: nn.Module, kind: Vectors) -> Iterator[str]:
    """Dotted names of the vectors of one kind, each name where one has several.

    Args:
        model: Any module.
        kind: ``"norms"``: all vectors of BatchNorm, LayerNorm, GroupNorm, RMSNorm and other layers whose
            class is called a norm. ``"biases"``: all called ``bias`` or ``…_bias``, those of norms too.
    """
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            chosen = is_norm(module) if kind == "norms" else name == "bias" or name.endswith("_bias")
            if chosen and parameter.numel() == max(parameter.shape, default=1):
                yield f"{prefix}.{name}" if prefix else name


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalisation layer."""
    return isinstance(module, _NORMS) or bool(_CALLED_NORM.search(type(module).__name__))
