"""How the anchors' blocks are run in training: compiled, or without keeping their activations."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stitchable.compiling import compiled, many_compiled
from stitchable.network import StitchedNetwork
from stitchable.training.engine_options import EngineOptions

if TYPE_CHECKING:
    from stitchable.anchors.anchor import Anchor
    from stitchable.anchors.split import Part


@contextmanager
def prepared(network: StitchedNetwork, options: EngineOptions) -> Iterator[None]:
    """The network as the options want it run; afterwards it is as before, names and hooks included.

    Raises:
        StitchError: It is to be compiled and no compiler works here.
    """
    with ExitStack() as stack:
        if options.deterministic:
            stack.enter_context(_deterministic())
        anchors = network.all_anchors()
        for anchor in anchors if options.compile else ():
            stack.enter_context(compiled(_blocks(anchor)))
        if options.compile:
            device = next(network.parameters()).device
            stack.enter_context(many_compiled(device, asked_by="train.compile"))
        for anchor in anchors if options.checkpoint_activations else ():
            stack.enter_context(_forgetful(anchor))
        yield


def _blocks(anchor: Anchor) -> list[nn.Module]:
    names = dict.fromkeys(name for part in anchor.split.blocks for name in part.uses)
    found = dict(anchor.model.named_modules())
    return [found[name] for name in names if isinstance(found.get(name), nn.Module)]


@contextmanager
def _forgetful(anchor: Anchor) -> Iterator[None]:
    before = anchor.split
    anchor.split = replace(before, blocks=tuple(_recomputed(part) for part in before.blocks))
    try:
        yield
    finally:
        anchor.split = before


def _recomputed(part: Part) -> Part:
    def run(model: nn.Module, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return part.run(model, x)
        out: Tensor = checkpoint(part.run, model, x, use_reentrant=False)
        return out

    return replace(part, run=run)


@contextmanager
def _deterministic() -> Iterator[None]:
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS wants, read at its first call
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = before[2]
