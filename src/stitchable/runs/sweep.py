"""The third step of a run: the curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Literal

from stitchable.data.loader import image_loader
from stitchable.device import choose_device
from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow, write_curve
from stitchable.evaluation.sweep import sweep, tally
from stitchable.network import StitchedNetwork
from stitchable.runs.calibration import calibration_batches, calibration_options
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.space.prune import sample_members

Weights = Literal["auto", "fitted", "trained"]


def sweep_run(
    run: RunFolder,
    *,
    data: DataConfig,
    options: SweepConfig,
    weights: Weights = "auto",
    seed: int = 0,
    device: str = "auto",
    trust_code: bool = False,
    on_start: Callable[[int, int], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> list[CurveRow]:
    """Measure the curve of a run; write ``curve.jsonl`` (trained) or ``curve_fitted.jsonl``.

    The configuration of the run takes over what was measured on, so that the report can say it.

    Args:
        run: A run that was fitted.
        data: Its ``val`` images are used; of its ``train`` images some, where BatchNorm statistics are to be
            adjusted.
        options: See `SweepConfig`.
        weights: Which network; ``"auto"`` takes the trained one where there is one.
        seed: Of the draw, where only some stitches are measured.
        device: See `choose_device`.
        trust_code: Allow the folder's own architecture files to run.
        on_start: Called with the number of stitches and images.
        on_batch: Called with the number of images after each batch.

    Raises:
        StitchError: The run or its network is missing, or the images do not fit.
    """
    run.require()
    if weights == "trained" and not run.is_trained:
        raise StitchError(f"{run.path} is not trained. Train it first, or sweep with --weights fitted.")
    trained = run.is_trained and weights != "fitted"
    where = choose_device(device)
    folder = run.network if trained else run.fitted
    network = StitchedNetwork.from_pretrained(folder, trust_code=trust_code).to(where)
    source = open_for(network, data, "val")
    if options.stitches is None:
        stitches = list(network.space)
    else:
        stitches = sample_members(network.space, options.stitches, seed=seed)
    loader = image_loader(
        source,
        network.input_spec,
        batch_size=options.batch_size,
        limit=options.images,
        workers=data.workers,
    )
    chosen = calibration_options(options, run, trained=trained)
    calibration = calibration_batches(network, stitches, data, chosen)
    if on_start:
        on_start(len(stitches), min(options.images or len(source), len(source)))
    half = options.autocast == "bfloat16"
    originals = None
    if trained:
        # The anchors as they came, on the same images: what joint training did to them.
        fitted = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(where)
        names = list(fitted.anchors)
        own = [fitted.space.stitch(name) for name in names]
        originals = dict(zip(names, tally(fitted, own, loader, half=half), strict=True))
    rows = sweep(
        network,
        loader,
        stitches=stitches,
        originals=originals,
        calibration=calibration,
        half=half,
        on_batch=on_batch,
    )
    write_curve(run.curve if trained else run.curve_fitted, rows)
    config = run.read_config()
    run.write_config({**config, "data": {**config["data"], "val": data.val}, "sweep": asdict(options)})
    return rows
