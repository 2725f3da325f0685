"""Modules that torch compiles in place, each by itself, so that the names of their parameters stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from stitchable.errors import StitchError


@contextmanager
def compiled(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Compile modules at their next call; afterwards they run as before.

    Args:
        modules: What is compiled already is left alone.
    """
    # Behind a joint, a block without parameters of the joint's own is the anchor's.
    chosen: list[Any] = [module for module in modules if module._compiled_call_impl is None]
    for module in chosen:
        module.compile()  # in place: unlike a wrapper's, the names of its parameters stay
    try:
        yield
    finally:
        for module in chosen:
            module._compiled_call_impl = None


@contextmanager
def many_compiled(device: torch.device, *, asked_by: str) -> Iterator[None]:
    """Make sure that there is a compiler, and let each block have its own code.

    Args:
        device: What is compiled for.
        asked_by: The option that asks for it, for the message.

    Raises:
        StitchError: No compiler works here.
    """
    import torch._dynamo.config as dynamo

    try:
        torch.compile(_something)(torch.zeros(1, device=device))
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise StitchError(
            f"{asked_by} finds no compiler that works here ({reason}). Install one (g++ for the CPU), or "
            f"leave {asked_by} out."
        ) from error
    # Blocks of one class share their code object, and by default only eight kinds of it are compiled.
    with dynamo.patch(recompile_limit=1024, accumulated_recompile_limit=4096):
        yield


def _something(x: Tensor) -> Tensor:
    return x.sin() + 1  # a builtin such as torch.neg alone would not be compiled at all
