"""BatchNorm statistics behind a joint: the end anchor's own, moved as far as the joint moves the features.

A joint hands the end anchor features that are not quite those it was trained on, and the mean and variance
that its BatchNorm layers hold are those of the old ones. How far the features moved shows by running the end
anchor alone on the same images. It depends on the path up to the layer and on nothing else, so the adjusted
statistics belong to a node of the trie of paths and not to the layer.

They are not simply those of the path's features, as Ioffe & Szegedy 2015 (algorithm 2) would estimate them
for a network of its own: an anchor that was fine-tuned with frozen statistics holds those of other images,
and its weights were trained with these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.twin import original_of
from stitchable.errors import StitchError
from stitchable.evaluation.moments import (
    Average,
    Moments,
    adjusted,
    before_each,
    moments,
    own_statistics,
)
from stitchable.network import StitchedNetwork
from stitchable.space.steps import Step


def batch_norms(anchor: Anchor, step: Step) -> list[_BatchNorm]:
    """The layers with running statistics that a step reads, where this anchor runs it."""
    blocks = [step.block] if step.kind == "block" else []
    (part,) = anchor.parts(blocks, stem=step.kind == "stem", head=step.kind == "head")
    found: dict[_BatchNorm, None] = {}
    for name in part.uses:
        try:
            modules = anchor.model.get_submodule(name).modules()
        except AttributeError:  # a parameter or a buffer
            continue
        found.update((each, None) for each in modules if isinstance(each, _BatchNorm))
    return [norm for norm in found if norm.running_mean is not None]


def norms_behind_joint(network: StitchedNetwork, steps: Sequence[Step]) -> dict[int, list[_BatchNorm]]:
    """The BatchNorm layers whose statistics a path should have of its own.

    Args:
        network: Whose layers.
        steps: The path.

    Returns:
        Positions in ``steps`` with their layers. Nothing for an anchor alone, for paths without
        BatchNorm, and for those that run a layer behind a joint and a second time: an extracted stitch
        holds it once, and so can hold one mean only.
    """
    by_step = [[] if step.kind == "layer" else batch_norms(network.running(step), step) for step in steps]
    first = next((number for number, step in enumerate(steps) if step.kind == "layer"), len(steps))
    behind = {number: norms for number, norms in enumerate(by_step) if norms and number > first}
    runs = Counter(id(original_of(norm)) for norms in by_step for norm in norms)
    twice = any(runs[id(original_of(norm))] > 1 for norms in behind.values() for norm in norms)
    return {} if twice else behind


SeenMoments = dict[int, NDArray[Any]]
"""Moments of one batch at some layers, by number: mean and variance where the anchor runs alone, and the same
on the path, ``(4, channels)``. Not tensors, which pickle slowly: processes exchange them."""


class PathStatistics:
    """Mean and variance of some BatchNorm layers for one path to them, kept apart from the layers' own.

    Args:
        norms: The layers; they are not changed.
    """

    def __init__(self, norms: Sequence[_BatchNorm]) -> None:
        self._norms = tuple(norms)
        self._averages = [Average() for _ in self._norms]
        self._held: dict[_BatchNorm, Moments] = {}

    @contextmanager
    def adjusting(self, alone: Mapping[_BatchNorm, Moments]) -> Iterator[SeenMoments]:
        """Let each layer read what the batch that comes to it makes of its own statistics.

        The layers' own come back afterwards.

        Args:
            alone: Moments of the same batch where the anchor runs alone; layers without keep their own.

        Yields:
            The moments of the batch, which come as the layers run. They are for `add`: what another batch
            showed has no part in them, so batches may be seen in any order, and by different processes.
        """
        own = {norm: own_statistics(norm) for norm in self._norms if original_of(norm) in alone}
        seen: SeenMoments = {}

        def adjust(norm: _BatchNorm, features: Tensor) -> None:
            path, apart = moments(features), alone[original_of(norm)]
            seen[self._norms.index(norm)] = torch.stack([*apart, *path]).cpu().numpy()
            _lend(norm, adjusted(own[norm], norm.eps, alone=apart, path=path))

        with _lent(own), before_each(own, adjust):
            yield seen

    def add(self, seen: SeenMoments) -> None:
        """Take the moments of a batch into the averages over the batches so far.

        The statistics of the path follow from these: a ratio of averages, since an average of ratios is at
        the mercy of the one batch in which a channel is all but dead.
        """
        for number, values in seen.items():
            norm = self._norms[number]
            own = own_statistics(norm)
            average = self._averages[number].next(torch.from_numpy(values).to(own.mean.device))
            alone, path = Moments(*average[:2]), Moments(*average[2:])
            self._held[norm] = adjusted(own, norm.eps, alone=alone, path=path)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the layers read these statistics; their own come back afterwards."""
        with _lent(self._held):
            for norm, held in self._held.items():
                _lend(norm, held)
            yield

    def store(self, norms: Sequence[_BatchNorm]) -> None:
        """Write these statistics into the buffers of copies of the layers, in the layers' order."""
        for norm, copy in zip(self._norms, norms, strict=True):
            if norm in self._held:
                for buffer, value in zip(own_statistics(copy), self._held[norm], strict=True):
                    buffer.copy_(value)


def _lend(norm: _BatchNorm, statistics: Moments) -> None:
    norm._buffers.update(running_mean=statistics.mean, running_var=statistics.variance)


@contextmanager
def _lent(norms: Iterable[_BatchNorm]) -> Iterator[None]:
    """Give layers their own statistics back, the very tensors."""
    before = {norm: own_statistics(norm) for norm in norms}
    try:
        yield
    finally:
        for norm, own in before.items():
            _lend(norm, own)


def large_enough(batch: Tensor) -> Tensor:
    """The batch, where it has a variance.

    Raises:
        StitchError: It holds a single image.
    """
    if len(batch) < 2:
        raise StitchError(
            f"BatchNorm statistics cannot be taken from a batch of {len(batch)} images. Give 2 or more."
        )
    return batch


def check_seen(images: int) -> None:
    """Make sure that there were images.

    Raises:
        StitchError: There were none.
    """
    if images == 0:
        raise StitchError("BatchNorm statistics cannot be adjusted without images. Give at least one batch.")
