"""What changes for whoever switches from one stitch to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes


@dataclass(frozen=True)
class Agreement:
    """Pairs of stitches, each on the images that both saw; row: the stitch in use, column: the next.

    Attributes:
        stitches: Text ids of rows and columns.
        churn: Percent of images whose predicted class changes ``(stitches, stitches)``, float64; not a number
            where no image was shown to both.
        negative_flips: Percent of images whose answer was right and becomes wrong, likewise.

    Source: M. Milani Fard et al., NeurIPS 2016, "Launch and iterate: reducing prediction churn"; S. Yan et
    al., CVPR 2021, "Positive-congruent training: towards regression-free model updates".
    """

    stitches: tuple[str, ...]
    churn: NDArray[np.float64]
    negative_flips: NDArray[np.float64]


def agreement(outcomes: Outcomes, stitches: Sequence[str] | None = None) -> Agreement:
    """Compare every pair of some stitches.

    Args:
        outcomes: Their answers.
        stitches: Text ids, in the order wanted; all of ``outcomes`` where left out. The work grows with the
            square of their number.

    Raises:
        StitchError: One was not measured.
    """
    names = outcomes.stitches if stitches is None else tuple(stitches)
    places = [outcomes.row(name) for name in names]
    predicted = outcomes.predicted[places]
    seen, right = np.not_equal(predicted, NOT_SEEN), np.equal(predicted, outcomes.labels)
    churn = np.full((len(names), len(names)), np.nan)
    negative = churn.copy()
    for row in range(len(names)):
        both = seen[row] & seen
        images = both.sum(1)
        met = images > 0
        changed = ((predicted != predicted[row]) & both).sum(1)
        flipped = (right[row] & ~right & both).sum(1)
        churn[row, met] = 100 * changed[met] / images[met]
        negative[row, met] = 100 * flipped[met] / images[met]
    return Agreement(names, churn, negative)
