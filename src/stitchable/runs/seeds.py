"""Several runs that differ in their seed alone, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve
from stitchable.evaluation.outcomes import read_outcomes
from stitchable.evaluation.seeds import SeedsRow, across_seeds, check_not_raced
from stitchable.nested import dotted
from stitchable.runs.folder import RunFolder

_DECIDING = (
    "anchors",
    "inputs",
    "space",
    "prune",
    "data",
    "fit",
    "sweep.autocast",
    "sweep.calibration_images",
)
_FREE = ("data.workers", "data.memory", "data.corrupt_limit", "data.cache", "train.checkpoint")
"""Settings that decide the numbers of a curve; ``train`` does so where it is trained. Those free do not."""


def compare_seeds(runs: Sequence[RunFolder]) -> tuple[list[int], list[SeedsRow]]:
    """Read the curves of several runs and hold them side by side.

    The latest curve of each counts: after training where all are trained, before it where none is.

    Args:
        runs: Two or more measured runs.

    Returns:
        The runs' seeds, and a row per stitch.

    Raises:
        StitchError: A run is not measured, two have the same seed, or they differ in more than that: in a
            setting, in the space, in the images or in whether they are trained. Or one was raced.
    """
    if len(runs) < 2:
        raise StitchError(f"{len(runs)} run shows no spread. Give two or more that differ in --seed.")
    configs = [run.read_config() for run in runs]
    seeds = [config.get("seed", 0) for config in configs]
    for place, run in enumerate(runs[1:], start=1):
        if seeds[place] in seeds[:place]:
            twin = runs[seeds.index(seeds[place])]
            raise StitchError(
                f"{twin.path} and {run.path} have the same seed, {seeds[place]}. Give different ones."
            )
        if run.is_trained != runs[0].is_trained:
            trained, fitted = (run, runs[0]) if run.is_trained else (runs[0], run)
            raise StitchError(
                f"{trained.path} is trained and {fitted.path} is not. Give runs that are alike."
            )
        _check_same_settings(runs[0], run, configs[0], configs[place])
    curves = [read_curve(run.latest_curve) for run in runs]
    for run, curve in zip(runs, curves, strict=True):
        check_not_raced(curve, str(run.latest_curve))
    rows = across_seeds(curves)
    _check_same_images(runs)
    return seeds, rows


def _check_same_settings(
    first: RunFolder, other: RunFolder, one: Mapping[str, Any], two: Mapping[str, Any]
) -> None:
    was, now = dict(dotted(one)), dict(dotted(two))
    deciding = (*_DECIDING, "train") if first.is_trained else _DECIDING
    # A setting that one of them lacks is of another version, which did what is now its default.
    for key in (key for key in was if key in now and was[key] != now[key]):
        if _within(key, deciding) and not _within(key, _FREE):
            raise StitchError(
                f"{first.path} and {other.path} differ in {key}: {was[key]} and {now[key]}. What differs "
                "beside the seed would count as its spread; give runs of the same settings."
            )


def _within(key: str, names: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _check_same_images(runs: Sequence[RunFolder]) -> None:
    """Where the answers are kept, compare the labels of the images themselves."""
    kept = [run for run in runs if run.latest_outcomes.is_file()]
    labels = [read_outcomes(run.latest_outcomes).labels for run in kept]
    for run, each in zip(kept[1:], labels[1:], strict=True):
        if not np.array_equal(np.sort(each), np.sort(labels[0])):
            raise StitchError(
                f"{kept[0].path} and {run.path} were measured on different images: their labels differ. "
                "Sweep all on the same."
            )
