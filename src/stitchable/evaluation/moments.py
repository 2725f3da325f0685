"""Mean and variance of what comes to a BatchNorm layer, and what the layer's statistics should be then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stitchable.anchors.anchor import Anchor


class Moments(NamedTuple):
    """Mean and variance ``(channels,)``."""

    mean: Tensor
    variance: Tensor


def moments(x: Tensor) -> Moments:
    """Of each channel of ``(batch, channels, …)``, in float32 at least.

    The variance is the biased one: only ratios of variances of equally many values are taken.
    """
    axes = [axis for axis in range(x.ndim) if axis != 1]
    variance, mean = torch.var_mean(x.to(torch.promote_types(x.dtype, torch.float32)), axes, correction=0)
    return Moments(mean, variance)


class Average:
    """Average over batches, each of which counts as much as the others."""

    def __init__(self) -> None:
        self._batches = 0
        self._average = torch.zeros(())

    def next(self, batch: Tensor) -> Tensor:
        """The average that includes one batch more."""
        self._batches += 1
        self._average = self._average + (batch - self._average) / self._batches
        return self._average


def own_statistics(norm: _BatchNorm) -> Moments:
    """The statistics that a layer holds."""
    assert norm.running_mean is not None  # it was chosen for having them
    assert norm.running_var is not None
    return Moments(norm.running_mean, norm.running_var)


def adjusted(own: Moments, eps: float, *, alone: Moments, path: Moments) -> Moments:
    """Statistics that give a path's features, normalised, the moments of the anchor's own, normalised.

    With mean m and variance v of the layer, that is √(v′ + ε) = √(v + ε) · √(v_path / v_alone) and
    m′ = m_path − (m_alone − m) · √(v′ + ε) / √(v + ε). Where path and anchor agree they are the layer's own,
    to the last bit; where the layer's own are those of the anchor's features, they are those of the path's.

    Args:
        own: What the layer holds.
        eps: The layer's ε.
        alone: Of the layer's input where its anchor runs alone.
        path: Of its input on the path, on the same images.
    """
    # A channel whose spread is below a tenth of √ε is constant to the layer, and the ratio of two such
    # variances is noise: dead channels, whose features are zero up to rounding, keep their variance.
    floor = eps / 100
    ratio = path.variance.clamp(min=floor) / alone.variance.clamp(min=floor)
    # No layer may enlarge more than ε alone would let it, so a variance is never below zero.
    variance = (own.variance + (own.variance + eps) * (ratio - 1)).clamp(min=0)
    scale = ((variance + eps) / (own.variance + eps)).sqrt()
    mean = own.mean + (path.mean - alone.mean) + (alone.mean - own.mean) * (1 - scale)
    return Moments(mean.to(own.mean.dtype), variance.to(own.variance.dtype))


@contextmanager
def before_each(norms: Iterable[_BatchNorm], call: Callable[[_BatchNorm, Tensor], None]) -> Iterator[None]:
    """Call a function with the layer and its input whenever one of some layers is about to run."""

    def hook(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        assert isinstance(module, _BatchNorm)
        (features,) = (*given, *named.values())
        call(module, features)

    with ExitStack() as stack:
        for norm in norms:
            stack.callback(norm.register_forward_pre_hook(hook, with_kwargs=True).remove)
        yield


def moments_alone(anchor: Anchor, norms: Iterable[_BatchNorm], x: Tensor) -> Mapping[_BatchNorm, Moments]:
    """Moments at some layers of an anchor that runs alone.

    Args:
        anchor: In eval mode; it normalises with its own statistics.
        norms: Layers of it.
        x: Normalised images ``(batch, channels, rows, columns)``.

    Returns:
        By layer. Those that did not run are left out, and those that ran twice: they have two moments.
    """
    found: dict[_BatchNorm, Moments] = {}
    twice: set[_BatchNorm] = set()

    def note(norm: _BatchNorm, features: Tensor) -> None:
        if norm in found:
            twice.add(norm)
        found[norm] = moments(features)

    with before_each(norms, note):
        anchor(x)
    return {norm: each for norm, each in found.items() if norm not in twice}
