"""What a part does and holds: the operations it runs, and the features that are alive meanwhile."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Footprint:
    """A part, seen from outside.

    Attributes:
        work: Equal for parts that run the same operations, in the same order, on tensors of the same
            shapes, strides and dtypes, with the same other arguments: they take the same time.
        peak_bytes: Largest sum of the features that are alive while it runs: what comes in, everything that
            torch's operations give and nobody has let go of, what comes out. Weights do not count.
        given_bytes: What comes in.
    """

    work: str
    peak_bytes: int
    given_bytes: int


@torch.no_grad()
def footprint(run: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Footprint, Tensor]:
    """Run something once and see what it does.

    Memory that an operation takes and gives back by itself (workspaces) is not seen.

    Args:
        run: What to run, in eval mode.
        x: What it takes.

    Returns:
        Its footprint, and what it gives.
    """
    with _Watch(x) as watch:
        y = run(x)
    return Footprint(watch.digest.hexdigest()[:16], watch.peak, x.nbytes), y


class _Watch(TorchDispatchMode):
    def __init__(self, x: Tensor) -> None:
        start: Any = super().__init__  # torch does not type it
        start()
        self.digest = hashlib.sha256()
        self.live = self.peak = 0
        self._seen: set[int] = set()
        self._hold(x)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = tree_leaves((args, kwargs or {}))
        self.digest.update(f"{func} {[_described(each) for each in given]}\n".encode())
        out = func(*args, **(kwargs or {}))
        # A view has the storage of what it is a view of, be that a feature, which is counted, or a weight.
        known = {_storage_id(tensor) for tensor in _tensors(given)}
        for tensor in _tensors(tree_leaves(out)):
            if _storage_id(tensor) not in known:
                self._hold(tensor)
        return out

    def _hold(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _storage_id(tensor)
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._let_go, key, size)

    def _let_go(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


def _tensors(leaves: list[Any]) -> Iterator[Tensor]:
    return (each for each in leaves if isinstance(each, Tensor))


def _storage_id(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _described(leaf: Any) -> str:
    if not isinstance(leaf, Tensor):
        return repr(leaf)
    return f"{leaf.dtype} {tuple(leaf.shape)} {leaf.stride()}"
