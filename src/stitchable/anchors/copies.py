"""Copies of a model that hold no data, or only some of its parts."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def on_meta(model: nn.Module) -> nn.Module:
    """Copy of ``model`` in eval mode whose parameters and buffers lie on the meta device.

    Shapes can be followed through it at no cost in memory; the model itself is not touched. Nothing in
    it requires gradients: torch's counter stumbles over parameters that do and are a module's input.
    """
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo).eval()


def holding_only(model: nn.Module, names: Iterable[str]) -> nn.Module:
    """Copy of ``model`` that holds the named parts alone.

    Parameters keep their names. Modules that are not named, and hold nothing named, become
    `torch.nn.Identity`; parameters and buffers become ``None``.

    Args:
        model: Any module; it is not touched.
        names: Dotted names of submodules, parameters or buffers.
    """
    return _restrict(model, frozenset(names), "", {})


def _restrict(module: nn.Module, names: frozenset[str], prefix: str, memo: dict[int, Any]) -> nn.Module:
    if prefix.rstrip(".") in names:
        return copy.deepcopy(module, memo)
    clone = module.__class__.__new__(module.__class__)
    for name, value in module.__dict__.items():  # containers (hooks among them) must not be shared
        clone.__dict__[name] = copy.copy(value) if isinstance(value, (dict, list, set)) else value

    def keep(tensors: Mapping[str, Tensor | None]) -> dict[str, Any]:
        return {
            name: copy.deepcopy(tensor, memo) if prefix + name in names else None
            for name, tensor in tensors.items()
        }

    clone._parameters = keep(module._parameters)
    clone._buffers = keep(module._buffers)
    clone._modules = {
        name: None
        if child is None
        else _restrict(child, names, f"{prefix}{name}.", memo)
        if _holds(names, prefix + name)
        else nn.Identity()
        for name, child in module._modules.items()
    }
    return clone


def _holds(names: frozenset[str], name: str) -> bool:
    return any(kept == name or kept.startswith(name + ".") for kept in names)
