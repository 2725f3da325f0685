"""What stitches answer on batches of images, and what many batches add up to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stitchable.device import sums_device
from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes
from stitchable.evaluation.trie import Trie

MOST_KEPT = 50_000_000
"""Answers, images times stitches, up to which all of them are kept: 400 MB."""


@dataclass(frozen=True)
class Tally:
    """Sums over the images that one stitch has seen.

    Attributes:
        correct: Number of images whose largest logit is their label's.
        loss: Sum of the cross-entropies in nats.
        images: Number of images.
        calibration_images: Number of images on which its BatchNorm statistics behind the joints were
            adjusted; ``None`` where they are the anchors' own.
    """

    correct: int
    loss: float
    images: int
    calibration_images: int | None = None


class BatchAnswers(NamedTuple):
    """Answers of some stitches on one batch. Arrays, since processes exchange them.

    Attributes:
        labels: ``(images,)``, int32.
        predicted: Class of the largest logit ``(stitches, images)``, int32; `NOT_SEEN` in the rows of
            stitches that were not run.
        confidence: Its softmax probability ``(stitches, images)``, float32.
        loss: Sum of the cross-entropies over the images, nats ``(stitches,)``, float64.
    """

    labels: NDArray[np.int32]
    predicted: NDArray[np.int32]
    confidence: NDArray[np.float32]
    loss: NDArray[np.float64]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which stitches were run ``(stitches,)``."""
        found: NDArray[np.bool_] = np.all(np.not_equal(self.predicted, NOT_SEEN), axis=1)
        return found

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which stitch was right on which image ``(stitches, images)``."""
        return np.equal(self.predicted, self.labels)


@torch.no_grad()
def answer(
    tries: Sequence[Trie],
    images: Tensor,
    labels: Tensor,
    *,
    half: bool = False,
    only: Collection[int] | None = None,
    together: int = 0,
) -> BatchAnswers:
    """Run the stitches of some tries on a batch.

    Args:
        tries: One after the other; their stitches are numbered on.
        images: Normalised ``(batch, channels, rows, columns)``.
        labels: ``(batch,)``, int64.
        half: Compute under bfloat16 autocast.
        only: Numbers of the stitches to run; all where left out.
        together: See `Trie.run`.
    """
    count, batch = sum(map(len, tries)), len(images)
    found = BatchAnswers(
        labels.numpy().astype(np.int32),
        np.full((count, batch), NOT_SEEN, np.int32),
        np.zeros((count, batch), np.float32),
        np.zeros(count),
    )
    if not batch:
        return found
    device = next(tries[0].network.parameters()).device
    where = sums_device(device)
    truth, x = labels.to(where), images.to(device)
    first = 0
    for trie in tries:
        wanted = None if only is None else {number - first for number in only}
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = list(trie.run(x, only=wanted, together=together))
        for position, each in logits:
            each = each.to(where).double()
            predicted = each.argmax(1)
            confidence = each.softmax(1).gather(1, predicted[:, None])[:, 0]
            found.predicted[first + position] = predicted.cpu().numpy()
            found.confidence[first + position] = confidence.cpu().numpy()
            found.loss[first + position] = float(F.cross_entropy(each, truth, reduction="sum"))
        first += len(trie)
    return found


class Answers:
    """The sum of batches of answers.

    Args:
        stitches: Number of stitches.
        images: Images that are to come, as far as that is known; decides whether all answers are kept.

    Attributes:
        batches: Number of batches taken in.
        kept: Whether `outcomes` can be had.
        images: Number of images in these batches.
    """

    def __init__(self, stitches: int, *, images: int = 0) -> None:
        self.batches = 0
        self.kept = stitches * images <= MOST_KEPT
        self.images = 0
        self._correct = np.zeros(stitches, np.int64)
        self._loss = np.zeros(stitches)
        self._images = np.zeros(stitches, np.int64)
        self._parts: list[BatchAnswers] = []

    def add(self, each: BatchAnswers) -> None:
        """Take in the next batch. Sums are added up in the order of batches, whoever made them."""
        self.batches += 1
        self.images += len(each.labels)
        self._correct += each.right.sum(axis=1)
        self._loss += each.loss
        self._images += len(each.labels) * each.seen
        if self.kept:
            self._parts.append(each)

    def tally(self, number: int) -> Tally:
        """Sums of one stitch."""
        return Tally(int(self._correct[number]), float(self._loss[number]), int(self._images[number]))

    def outcomes(self, stitches: Sequence[str]) -> Outcomes:
        """All answers of the first so many stitches, whose ids these are."""
        count = len(stitches)
        return Outcomes(
            tuple(stitches),
            np.concatenate([each.labels for each in self._parts]),
            np.concatenate([each.predicted[:count] for each in self._parts], axis=1),
            np.concatenate([each.confidence[:count] for each in self._parts], axis=1),
        )
