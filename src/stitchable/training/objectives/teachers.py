"""Teachers: frozen models, each run at most once per batch and no further than it is asked for."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork

if TYPE_CHECKING:
    from stitchable.anchors.anchor import Anchor


class Teachers:
    """Some frozen anchors by name.

    Args:
        anchors: Copied, so that training does not reach them.
        layout: How their weights lie in memory.
    """

    def __init__(
        self, anchors: Mapping[str, Anchor], *, layout: torch.memory_format = torch.contiguous_format
    ) -> None:
        self.anchors = {name: frozen_copy(anchor) for name, anchor in anchors.items()}
        for anchor in self.anchors.values():
            anchor.to(memory_format=layout)

    def on(self, images: Tensor) -> Taught:
        """What they say to a batch."""
        return Taught(self.anchors, images)


class Taught:
    """What some teachers say to one batch; asked again, they give the same tensors.

    Args:
        anchors: The teachers.
        images: Normalised, ``(batch, channels, rows, columns)``.
    """

    def __init__(self, anchors: Mapping[str, Anchor], images: Tensor) -> None:
        self._anchors, self._images = anchors, images
        self._features: dict[str, dict[int, Tensor]] = {}
        self._logits: dict[str, Tensor] = {}

    @torch.no_grad()
    def feature(self, name: str, cut: int) -> Tensor:
        """Feature of a teacher at a cut, shaped as its spec says."""
        anchor, seen = self._anchors[name], self._features.setdefault(name, {})
        if cut not in seen:
            start = max((each for each in seen if each < cut), default=None)
            before = anchor.stem(self._images) if start is None else seen[start]
            seen[cut] = anchor.run(before, start or 0, cut)
        return seen[cut]

    @torch.no_grad()
    def logits(self, name: str) -> Tensor:
        """Logits of a teacher, ``(batch, classes)``."""
        if name not in self._logits:
            anchor = self._anchors[name]
            self._logits[name] = anchor.head(self.feature(name, anchor.depth))
        return self._logits[name]


def frozen_copy(anchor: Anchor) -> Anchor:
    """Copy of an anchor in eval mode of which nothing requires a gradient."""
    clone = copy.deepcopy(anchor).eval()
    clone.requires_grad_(False)
    return clone


def check_teacher(teacher: Anchor, network: StitchedNetwork) -> None:
    """Make sure that a teacher takes the network's images and tells the same classes apart.

    Raises:
        StitchError: It does not; the message says what differs.
    """
    reason = teacher.input_spec.mismatch(network.input_spec)
    if reason:
        reason = f"takes other images than the anchors: {reason}"
    elif teacher.class_count != network.class_count:
        reason = f"tells {teacher.class_count} classes apart, the anchors {network.class_count}"
    elif teacher.classes and network.classes and teacher.classes != network.classes:
        names = list(zip(teacher.classes, network.classes, strict=True))
        where, (theirs, ours) = next((i, pair) for i, pair in enumerate(names) if pair[0] != pair[1])
        reason = f"calls class {where} {theirs!r}, the anchors {ours!r}"
    if reason:
        raise StitchError(
            f"The teacher {teacher.name} {reason}. Give one of the anchors' images and classes, or an anchor."
        )
