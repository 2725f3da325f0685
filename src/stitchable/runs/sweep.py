"""The third step of a run: the curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Literal

from stitchable.data.loader import image_loader
from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow, write_curve
from stitchable.evaluation.sweep import sweep, tally
from stitchable.network import StitchedNetwork
from stitchable.ranks import joined
from stitchable.runs.calibration import calibration_batches, calibration_options
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.space.prune import sample_members
from stitchable.stitch import Stitch

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

    Under ``torchrun`` all its processes share the batches of images, see `stitchable.ranks.joined`; the first
    one alone writes and calls back. The curve does not depend on their number, to the last digit where a
    batch gives each of them the same logits: on the same kind of processor with as many threads.

    Args:
        run: A run that was fitted.
        data: Its ``val`` images are used; of its ``train`` images some, where BatchNorm statistics are to be
            adjusted.
        options: See `SweepConfig`.
        weights: Which network; ``"auto"`` takes the trained one where there is one.
        seed: Of the draw, where only some stitches are measured.
        device: See `Ranks.device`.
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
    with joined() as ranks:
        where = ranks.device(device)
        folder = run.network if trained else run.fitted
        network = StitchedNetwork.from_pretrained(folder, trust_code=trust_code).to(where)
        # Held in memory, every process would decode the images of all.
        source = open_for(network, replace(data, memory=data.memory and ranks.count == 1), "val")
        loader = image_loader(
            source,
            network.input_spec,
            batch_size=options.batch_size,
            limit=options.images,
            workers=data.workers,
            start=ranks.rank,
            every=ranks.count,
        )
        stitches = _chosen(network, options, seed)
        calibrating = calibration_options(options, run, trained=trained)
        calibration = calibration_batches(network, stitches, data, calibrating, ranks=ranks)
        if on_start and ranks.first:
            on_start(len(stitches), min(options.images or len(source), len(source)))
        half = options.autocast == "bfloat16"
        originals = None
        if trained:
            # The anchors as they came, on the same images: what joint training did to them.
            fitted = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(where)
            alone = [fitted.space.stitch(name) for name in fitted.anchors]
            tallies = tally(fitted, alone, loader, half=half, ranks=ranks)
            originals = dict(zip(fitted.anchors, tallies, strict=True))
        rows = sweep(
            network,
            loader,
            stitches=stitches,
            originals=originals,
            calibration=calibration,
            half=half,
            on_batch=on_batch if ranks.first else None,
            ranks=ranks,
        )
        if ranks.first:
            write_curve(run.curve if trained else run.curve_fitted, rows)
            config = run.read_config()
            changed = {"data": {**config["data"], "val": data.val}, "sweep": asdict(options)}
            run.write_config({**config, **changed})
        ranks.wait()
    return rows


def _chosen(network: StitchedNetwork, options: SweepConfig, seed: int) -> list[Stitch]:
    if options.stitches is None:
        return list(network.space)
    return sample_members(network.space, options.stitches, seed=seed)
