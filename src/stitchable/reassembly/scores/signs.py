"""Which activations of a network are on, image by image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

ACTIVATIONS: frozenset[Callable[..., Any]] = frozenset(
    {
        *(F.relu, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_, F.relu6),
        *(F.leaky_relu, F.leaky_relu_, F.prelu, torch.prelu, F.rrelu, F.elu, F.elu_, F.celu, F.selu),
        *(F.gelu, F.silu, F.mish, F.hardswish, F.softplus),
    }
)
"""Functions with a kink, or a smooth bend, at 0. Modules such as ``nn.ReLU`` call them."""


class ActivationSigns(TorchFunctionMode):
    """Hands on the signs of what comes to every activation while it is entered.

    It looks at the calls of functions and hangs nothing on modules, so that activations which are no modules
    are seen too, and there is nothing to take away again.

    Args:
        images: Number of images of the batch.
        take: Called with each activation's signs, bool ``(images, units)``. An activation of something else
            than the images, such as one on a table of positions, is left out.
    """

    def __init__(self, images: int, take: Callable[[Tensor], None]) -> None:
        super().__init__()
        self._images, self._take = images, take

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Note the signs before an activation runs: it may work in place."""
        kwargs = kwargs or {}
        if func in ACTIVATIONS:
            x = args[0] if args else kwargs["input"]
            if x.ndim > 1 and len(x) % self._images == 0:  # windows of an image follow each other
                self._take((x > 0).reshape(self._images, -1))
        return func(*args, **kwargs)
