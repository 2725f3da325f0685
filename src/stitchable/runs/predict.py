"""Predictions for a run: what it knows of its stitches before training, and what was measured after it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

from stitchable.data.loader import image_loader
from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve
from stitchable.network import StitchedNetwork
from stitchable.prediction.features import Known, feature_table
from stitchable.prediction.joint_similarity import joint_similarity
from stitchable.prediction.predict import Prediction, predict
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.space.prune import sample_members

MOST_STITCHES = 2000
BATCH = 50


def predict_run(
    run: RunFolder,
    *,
    data: DataConfig,
    images: int = 200,
    seed: int = 0,
    trust_code: bool = False,
) -> Prediction:
    """Predict the top-1 after training of a run's stitches, from what is known before.

    The predictor is fitted to the stitches of ``curve.jsonl``. Predicted are those that were measured before
    training, or, where none were, up to `MOST_STITCHES` of the space.

    Args:
        run: A run that was trained and of which some stitches were measured after that.
        data: Some of its ``train`` images are used.
        images: How many, for the similarity at the joints; 0 leaves it out and reads none.
        seed: Of the draw of images and stitches.
        trust_code: Allow the folder's own architecture files to run.

    Raises:
        StitchError: No trained stitches were measured, or too few.
    """
    run.require()
    if not run.curve.is_file():
        raise StitchError(
            f"{run.path} has no curve after training, and a predictor is fitted to one. Train the run, then "
            "measure some stitches with 'stitchable sweep RUN --sweep.stitches N'."
        )
    if images < 0:
        raise StitchError(f"--images is a number of images, 0 or more; got {images}.")
    measured = {row.stitch: row.top1 for row in read_curve(run.curve) if row.anchor is None}
    before = read_curve(run.curve_fitted) if run.curve_fitted.is_file() else []
    network = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code)
    space = network.space
    if before:
        stitches = [space.stitch(row.stitch) for row in before]
    else:
        stitches = sample_members(space, MOST_STITCHES, seed=seed)
        stitches = list(dict.fromkeys([*stitches, *map(space.stitch, measured)]))
    known = Known(
        r2=r2_of(run),
        cka=_similarity(network, data, images, seed) if images else {},
        untrained={row.stitch: row for row in before},
    )
    joined = [stitch for stitch in stitches if stitch.joints]
    return predict(feature_table(space, joined, known), measured)


def r2_of(run: RunFolder) -> dict[str, float]:
    """R² by layer; nothing for layers that were not fitted by least squares."""
    if not run.fit_file.is_file():
        return {}
    try:
        return {
            each["layer"]: float(each["r2"]) for each in json.loads(run.fit_file.read_text(encoding="utf-8"))
        }
    except (ValueError, TypeError, KeyError) as error:
        raise StitchError(f"{run.fit_file} does not read: {error}. Fit the run again.") from error


def _similarity(network: StitchedNetwork, data: DataConfig, images: int, seed: int) -> dict[str, float]:
    source = open_for(network, replace(data, memory=False), "train")  # few images are read
    loader = image_loader(
        source, network.input_spec, batch_size=BATCH, shuffle_seed=seed, workers=data.workers, limit=images
    )
    return joint_similarity(network, (batch for batch, _ in islice(loader, -(-images // BATCH))))
