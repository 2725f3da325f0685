"""Anchors that were trained on images of different sizes or normalisations, brought together."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stitchable.anchors.anchor import Anchor
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.errors import StitchError, nearest
from stitchable.evaluation.statistics import wilson_interval
from stitchable.input_spec import InputSpec
from stitchable.modes import evaluating


def take_inputs_of(name: str, anchors: Sequence[Anchor]) -> list[Anchor]:
    """Make all anchors take the images of one of them; those that differ convert them.

    Raises:
        StitchError: There is no anchor of that name, or one has another number of channels.
    """
    by_name = {anchor.name: anchor for anchor in anchors}
    if name not in by_name:
        raise StitchError(f"inputs names no anchor {name!r}. {nearest(name, by_name)}")
    spec = by_name[name].input_spec
    return [anchor.taking(spec) if anchor.input_spec.mismatch(spec) else anchor for anchor in anchors]


def conversion_effect(
    anchor: Anchor, source: ImageSource, *, images: int = 1000, batch_size: int = 50, workers: int = 0
) -> str:
    """Measure what converting its images costs an anchor, and say it in a line.

    Args:
        anchor: One that converts.
        source: Held-out images.
        images: At most so many are read, the same ones for both.
        batch_size: Images per forward pass.
        workers: Processes that read.
    """

    def accuracy(spec: InputSpec, run: Anchor) -> tuple[float, int]:
        right = count = 0
        loader = image_loader(source, spec, batch_size=batch_size, limit=images, workers=workers)
        device = next(run.parameters()).device
        with evaluating(run), torch.no_grad():
            for batch, labels in loader:
                right += int((run(batch.to(device)).argmax(1).cpu() == labels).sum())
                count += len(labels)
        return 100 * right / count, count

    own, _ = accuracy(anchor.own_input, anchor.taking(anchor.own_input))
    converted, count = accuracy(anchor.input_spec, anchor)
    low, high = wilson_interval(round(converted * count / 100), count)
    reason = anchor.own_input.mismatch(anchor.input_spec)
    return (
        f"{anchor.name} converts its images ({reason}): {converted:.1f} % ({low:.1f} to {high:.1f}) on "
        f"{count:,} held-out images, {own:.1f} % on its own input"
    )
