"""BatchNorm statistics behind a joint: estimated anew for the features that come there.

A joint hands the end anchor features that are not quite those it was trained on, and the mean and variance
that its BatchNorm layers hold are those of the old ones. They depend on the path up to the layer and on
nothing else, so they belong to a node of the trie of paths and not to the layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from stitchable.anchors.anchor import Anchor
from stitchable.errors import StitchError
from stitchable.modes import evaluating
from stitchable.space.steps import Step
from stitchable.subnetwork import Subnetwork


def batch_norms(anchors: Mapping[str, Anchor], step: Step) -> list[_BatchNorm]:
    """The layers with running statistics that a step reads."""
    if step.kind == "layer":
        return []
    anchor = anchors[step.name]
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


def norms_behind_joint(anchors: Mapping[str, Anchor], steps: Sequence[Step]) -> dict[int, list[_BatchNorm]]:
    """The BatchNorm layers whose statistics a path should have of its own.

    Args:
        anchors: The anchors by name.
        steps: The path.

    Returns:
        Positions in ``steps`` with their layers. Nothing for an anchor alone, for paths without
        BatchNorm, and for those that run a layer behind a joint and a second time: an extracted stitch
        holds it once, and so can hold one mean only.
    """
    by_step = [batch_norms(anchors, step) for step in steps]
    first = next((number for number, step in enumerate(steps) if step.kind == "layer"), len(steps))
    behind = {number: norms for number, norms in enumerate(by_step) if norms and number > first}
    runs = Counter(id(norm) for norms in by_step for norm in norms)
    twice = any(runs[id(norm)] > 1 for norms in behind.values() for norm in norms)
    return {} if twice else behind


class PathStatistics:
    """Mean and variance of some BatchNorm layers for one path to them, kept apart from the layers' own.

    Args:
        norms: The layers; they are not changed.
    """

    def __init__(self, norms: Sequence[_BatchNorm]) -> None:
        self._norms = tuple(norms)
        self._held = [
            {
                "running_mean": torch.zeros_like(_tensor(norm.running_mean)),
                "running_var": torch.ones_like(_tensor(norm.running_var)),
                "num_batches_tracked": torch.tensor(0),
            }
            for norm in norms
        ]

    @contextmanager
    def in_use(self, *, estimating: bool = False) -> Iterator[None]:
        """Let the layers read these statistics; their own, their modes and momenta come back afterwards.

        Args:
            estimating: Normalise by each batch and take it into the average over the batches so far,
                which is what ``momentum=None`` means to torch.
        """
        before = [(dict(norm._buffers), norm.training, norm.momentum) for norm in self._norms]
        try:
            for norm, held in zip(self._norms, self._held, strict=True):
                norm._buffers.update(held)
                if estimating:
                    norm.training, norm.momentum = True, None
            yield
        finally:
            for norm, (buffers, training, momentum) in zip(self._norms, before, strict=True):
                norm._buffers.update(buffers)
                norm.training, norm.momentum = training, momentum

    def store(self) -> None:
        """Write these statistics into the layers' own buffers."""
        for norm, held in zip(self._norms, self._held, strict=True):
            for name, value in held.items():
                if norm._buffers[name] is not None:  # files from before PyTorch counted batches
                    _tensor(norm._buffers[name]).copy_(value)


def _tensor(buffer: Tensor | None) -> Tensor:
    assert buffer is not None  # the layer tracks statistics
    return buffer


def large_enough(batch: Tensor) -> Tensor:
    """The batch, where it has a variance.

    Raises:
        StitchError: It holds a single image.
    """
    if len(batch) < 2:
        raise StitchError(
            f"BatchNorm statistics cannot be estimated from a batch of {len(batch)} images. Give 2 or more."
        )
    return batch


@torch.no_grad()
def recalibrate(sub: Subnetwork, batches: Iterable[Tensor]) -> int:
    """Estimate the statistics of the BatchNorm layers behind the joints of an extracted stitch anew.

    Each layer's mean and unbiased variance become the average of those of the batches, every layer seeing
    what the layers before it make of the same batch. Nothing else is changed; where no layer needs it, or
    the path runs one twice, nothing at all, and no batch is read.

    Args:
        sub: Changed in place; its modes and momenta are not. As before if anything fails.
        batches: Normalised training images ``(batch, channels, rows, columns)`` without augmentation, two
            or more in each batch.

    Returns:
        Number of images seen; ``sub.calibration_images`` from now on.

    Raises:
        StitchError: No images came, or a batch holds only one.

    Source: Ioffe & Szegedy 2015, algorithm 2, for a network that changed after its training.
    """
    norms = [norm for found in norms_behind_joint(sub.anchors, sub.steps).values() for norm in found]
    if not norms:
        return 0
    statistics, device, images = PathStatistics(norms), next(sub.parameters()).device, 0
    with evaluating(sub), statistics.in_use(estimating=True):
        for batch in batches:
            sub(large_enough(batch).to(device))
            images += len(batch)
    check_seen(images)
    statistics.store()
    sub.calibration_images = images
    return images


def check_seen(images: int) -> None:
    """Make sure that there were images.

    Raises:
        StitchError: There were none.
    """
    if images == 0:
        raise StitchError("BatchNorm statistics cannot be estimated without images. Give at least one batch.")
