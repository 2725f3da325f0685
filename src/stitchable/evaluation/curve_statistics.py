"""A curve with what its images say about it: how sure the front is, calibration, worst classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from stitchable.evaluation.bootstrap import front_probability
from stitchable.evaluation.confidence import calibration_error, overconfidence
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes
from stitchable.evaluation.paired import compare
from stitchable.evaluation.worst_class import worst_class


def with_statistics(
    rows: Sequence[CurveRow], outcomes: Outcomes, *, draws: int = 1000, seed: int = 0
) -> list[CurveRow]:
    """Fill the statistical fields of a curve's rows.

    Args:
        rows: A curve; its front is taken as it is.
        outcomes: What each of its stitches answered; other stitches are passed over.
        draws: Of the bootstrap, see `front_probability`.
        seed: Likewise.

    Returns:
        The same rows in the same order, with the fields from ``front_probability`` on; those that compare a
        row with its cheaper neighbour on the front only where it has one.

    Raises:
        StitchError: A row's stitch was not measured.
    """
    if not rows:
        return []
    known = {name: place for place, name in enumerate(outcomes.stitches)}
    places = [known[row.stitch] if row.stitch in known else outcomes.row(row.stitch) for row in rows]
    measured = replace(
        outcomes,
        stitches=tuple(row.stitch for row in rows),
        predicted=outcomes.predicted[places],
        confidence=outcomes.confidence[places],
    )
    sure = front_probability([row.macs for row in rows], measured, draws=draws, seed=seed)
    gains = _gains(rows, measured)
    return [
        replace(
            row,
            front_probability=float(sure[place]),
            **_answers(measured, place),
            **gains.get(row.stitch, {}),
        )
        for place, row in enumerate(rows)
    ]


def _answers(outcomes: Outcomes, place: int) -> dict[str, Any]:
    seen = outcomes.predicted[place] != NOT_SEEN
    if not seen.any():
        return {}
    confidence, labels = outcomes.confidence[place, seen], outcomes.labels[seen]
    right = np.equal(outcomes.predicted[place, seen], labels)
    sound = bool(np.isfinite(confidence).all())  # a broken stitch may give logits that are not numbers
    worst = worst_class(labels, right)
    return {
        "calibration_error": calibration_error(confidence, right) if sound else None,
        "overconfidence": overconfidence(confidence, right) if sound else None,
        "worst_class": worst.label if worst else None,
        "worst_class_top1": worst.top1 if worst else None,
        "worst_class_images": worst.images if worst else None,
    }


def _gains(rows: Sequence[CurveRow], outcomes: Outcomes) -> dict[str, dict[str, Any]]:
    front = sorted((row for row in rows if row.on_front), key=lambda row: (row.macs, row.index))
    gains: dict[str, dict[str, Any]] = {}
    for cheaper, row in pairwise(front):
        pair = outcomes.predicted[[outcomes.row(cheaper.stitch), outcomes.row(row.stitch)]]
        if not np.not_equal(pair, NOT_SEEN).all(0).any():
            continue
        found = compare(outcomes, cheaper.stitch, row.stitch)
        gains[row.stitch] = {
            "gain_over": cheaper.stitch,
            "gain": found.difference,
            "gain_low": found.low,
            "gain_high": found.high,
            "gain_p": found.p_value,
            "churn": 100 * found.changed / found.images,
            "negative_flips": 100 * found.lost / found.images,
        }
    return gains
