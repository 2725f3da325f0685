"""Mixup and cutmix: timm's, with draws that depend on (seed, step, rank) alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor

from stitchable.errors import StitchError

_MIX = 4  # a stream of random numbers beside those of the loader


class Mixing:
    """Blends or cuts pairs of images of a batch into each other, and their labels with them.

    Args:
        classes: Number of classes.
        mixup: Alpha of the Beta distribution of mixup's shares; 0 switches mixup off.
        cutmix: The same for the areas of cutmix.
        probability: Share of the batches that are mixed.
        cutmix_share: Share of these that are cut, where both are on.
        smoothing: Share of each label that is spread evenly over all classes, before mixing.
        seed: Another one draws otherwise.
        rank: Of the process: each draws for its own share of the batch.

    Source: Zhang et al. 2018 (mixup), Yun et al. 2019 (CutMix), as timm does them.
    """

    def __init__(
        self,
        *,
        classes: int,
        mixup: float,
        cutmix: float,
        probability: float = 1.0,
        cutmix_share: float = 0.5,
        smoothing: float = 0.0,
        seed: int = 0,
        rank: int = 0,
    ) -> None:
        from timm.data.mixup import Mixup  # takes a while to import

        make: Any = Mixup  # timm does not say its types
        self._mix = make(
            mixup_alpha=mixup,
            cutmix_alpha=cutmix,
            prob=probability,
            switch_prob=cutmix_share,
            label_smoothing=smoothing,
            num_classes=classes,
        )
        self.seed, self.rank = seed, rank

    def __call__(self, images: Tensor, labels: Tensor, *, step: int) -> tuple[Tensor, Tensor]:
        """Mix one batch; what is drawn is a pure function of (seed, step, rank).

        Args:
            images: ``(batch, channels, rows, columns)``; not changed.
            labels: ``(batch,)``, int64.
            step: 0 or more.

        Returns:
            Mixed images, and shares ``(batch, classes)``, float32, that sum to one.

        Raises:
            StitchError: The batch is odd: its images are mixed in pairs.
        """
        if len(images) % 2:
            raise StitchError(
                f"mixup and cutmix pair the images of a batch; got {len(images)}. "
                "Give an even train.batch_size."
            )
        with _numpy_seeded(self.seed, step, _MIX, *([self.rank] if self.rank else [])):
            mixed, shares = self._mix(images.clone(), labels)  # timm mixes in place
        return mixed, shares


@contextmanager
def _numpy_seeded(*key: int) -> Iterator[None]:
    """Put numpy's global generator, from which timm draws, where ``key`` says, and back afterwards."""
    state = np.random.get_state()
    np.random.seed(np.random.SeedSequence(key).generate_state(4))
    try:
        yield
    finally:
        np.random.set_state(state)
