"""Racing: a stitch that is off the front with confidence sees no more images.

A stitch is off the front where another one costs no more and has the higher accuracy. Of each such pair the
images count on which one is right and the other wrong; were the other one no better, at most half of these
would be its. An e-value measures the evidence against that, and may be looked at after any image: it exceeds
1/α with a probability of at most α, whenever one looks. So a stitch that belongs on the front is stopped
with a probability of at most α, however often the race is decided. The images must come in random order.

Source: Ville's inequality; Robbins 1970, "Statistical methods related to the law of the iterated logarithm"
(mixtures of likelihood ratios); Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid
inference".
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, logsumexp
from scipy.stats import beta

from stitchable.errors import StitchError


def log_e_value(wins: NDArray[Any], discordant: NDArray[Any]) -> NDArray[np.float64]:
    """Logarithm of the evidence that a win is likelier than a loss.

    The likelihood ratio of a rate ``p`` to 1/2, averaged over all ``p`` from 1/2 to 1 alike. Where the true
    rate is 1/2 or less its expectation is 1 at most, after any number of trials.

    Args:
        wins: Of so many trials; any shape.
        discordant: Number of trials; the same shape.

    Example:
        >>> values = log_e_value(np.array([0, 10, 60]), np.array([0, 20, 80]))
        >>> [round(float(each), 2) for each in values]
        [0.0, -1.31, 9.04]
    """
    won, lost = np.asarray(wins) + 1.0, np.asarray(discordant) - np.asarray(wins) + 1.0
    tail = beta.logsf(0.5, won, lost)
    found: NDArray[np.float64] = np.log(2) * (won + lost - 1) + betaln(won, lost) + tail
    return found


class Race:
    """Which stitches are still to be shown images.

    Args:
        macs: Cost of each stitch.
        images: Images that there are.
        batch_size: Images of a batch.
        confidence: Probability, at least, with which a stitch that belongs on the front is not stopped.
        keep: Positions of stitches that see all images in any case.

    Attributes:
        running: Positions of the stitches that are in the race.

    Raises:
        StitchError: The confidence is not between 0 and 1.
    """

    def __init__(
        self,
        macs: Sequence[int],
        *,
        images: int,
        batch_size: int,
        confidence: float = 0.95,
        keep: Collection[int] = (),
    ) -> None:
        if not 0 < confidence < 1:
            raise StitchError(f"confidence is {confidence}. Give a share between 0 and 1, such as 0.95.")
        self.running = set(range(len(macs)))
        self._keep = set(keep)
        self._batches = -(-images // batch_size)
        self._least = math.log(1 / (1 - confidence))
        cost = np.asarray(macs)
        # Of two of equal cost, either can show the other to be off the front.
        self._rivals = (cost[None, :] <= cost[:, None]) & ~np.eye(len(cost), dtype=bool)
        self._wins = np.zeros((len(cost), len(cost)), np.int64)  # [a, b]: b right where a is wrong
        self._losses = np.zeros_like(self._wins)

    def rounds(self) -> Iterator[int]:
        """Numbers of batches after which it is decided: half as many again each time, the last one all."""
        done = 1
        while done < self._batches:
            yield done
            done += max(1, done // 2)
        yield self._batches

    def saw(self, right: NDArray[np.bool_], seen: NDArray[np.bool_]) -> None:
        """Take in a batch.

        Args:
            right: Which stitch was right on which image ``(stitches, images)``.
            seen: Which stitches were shown it ``(stitches,)``.
        """
        rows = np.flatnonzero(seen)
        hits = right[rows].astype(np.float32)  # counts of a batch are whole numbers in float32
        wins = ((1 - hits) @ hits.T).round().astype(np.int64)
        self._wins[np.ix_(rows, rows)] += wins
        self._losses[np.ix_(rows, rows)] += wins.T

    def decide(self) -> list[int]:
        """Stop the stitches that are off the front.

        The evidence against a stitch is the average over its rivals, so that it does not matter how many
        there are: the average of e-values is one.

        Returns:
            Positions of those that were stopped now.
        """
        evidence = np.where(self._rivals, log_e_value(self._wins, self._wins + self._losses), -np.inf)
        rivals = np.maximum(self._rivals.sum(1), 1)
        with np.errstate(divide="ignore"):
            average = logsumexp(evidence, axis=1) - np.log(rivals)
        stopped = [
            position
            for position in sorted(self.running - self._keep)
            if self._rivals[position].any() and average[position] >= self._least
        ]
        self.running -= set(stopped)
        return stopped
