"""A search in a run's space: measure few stitches of many, where it is worth it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from stitchable import __version__
from stitchable.anchors.store import WEIGHTS
from stitchable.data.loader import image_loader
from stitchable.device import choose_device
from stitchable.errors import StitchError, check_choices
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.pareto import front
from stitchable.evaluation.rows import curve_rows
from stitchable.evaluation.sweep import tally
from stitchable.network import StitchedNetwork
from stitchable.runs.calibration import calibration_batches, calibration_options
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.runs.predict import r2_of
from stitchable.runs.search_log import SearchLog
from stitchable.search.search import search
from stitchable.search.strategies import strategy_named
from stitchable.space.extremes import cheapest
from stitchable.stitch import Stitch
from stitchable.training.checkpoint import digest_file

LOSS_WEIGHT = 1e-3  # points of top-1 for a nat: tells apart what is right on as many images


@dataclass(frozen=True)
class SearchOptions:
    """What to search for, and how long.

    Attributes:
        macs: Most MACs for one image.
        evaluations: How many stitches to measure in all.
        generation: How many at a time; they share what they run alike.
        strategy: ``"random"``, ``"evolution"`` or ``"guided"``, see `stitchable.search.strategies`.
        seed: Of its draws.
    """

    macs: int
    evaluations: int = 200
    generation: int = 20
    strategy: Literal["random", "evolution", "guided"] = "evolution"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self, "search")
        for name in ("evaluations", "generation"):  # before an earlier search's file makes room
            if getattr(self, name) < 1:
                raise StitchError(f"--{name} must be at least 1; got {getattr(self, name)}.")


def search_run(
    run: RunFolder,
    options: SearchOptions,
    *,
    data: DataConfig,
    sweep: SweepConfig,
    device: str = "auto",
    trust_code: bool = False,
    on_rows: Callable[[list[CurveRow]], None] | None = None,
) -> list[CurveRow]:
    """Search the space of a run's latest network for the most accurate stitches within a budget.

    ``search.jsonl`` gets a line with what decides the search, then one per measured stitch as generations
    are done. The same search goes on where it was cut off; another one begins anew.

    Args:
        run: A run that was fitted.
        options: See `SearchOptions`.
        data: Its ``val`` images are used; ``train`` images for BatchNorm statistics, as in a sweep.
        sweep: ``images``, ``batch_size``, ``calibration_images`` and ``autocast`` count.
        device: See `choose_device`.
        trust_code: Allow the folder's own architecture files to run.
        on_rows: Told of each generation, those of an earlier go at once.

    Returns:
        All that was measured, anchors within the budget first, then in order.

    Raises:
        StitchError: The run is missing, no stitch is within the budget, or the images do not fit.
    """
    run.require()
    network = StitchedNetwork.from_pretrained(run.weights, trust_code=trust_code).to(choose_device(device))
    space = network.space
    least = space.cost(cheapest(space)).macs
    if options.macs < least:
        raise StitchError(f"No stitch has {options.macs:,} MACs or fewer; the cheapest has {least:,}.")
    strategy = strategy_named(options.strategy, space, options.macs, seed=options.seed, r2=r2_of(run))
    source = open_for(network, data, "val")
    sweep = calibration_options(sweep, run, trained=run.is_trained)
    log = SearchLog(run.search, _identity(run, options, sweep, data, source.digest))
    if log.rows and on_rows:
        on_rows(log.rows)

    def measure(stitches: Sequence[Stitch]) -> list[float]:
        loader = image_loader(
            source,
            network.input_spec,
            batch_size=sweep.batch_size,
            limit=sweep.images,
            workers=data.workers,
        )
        calibration = calibration_batches(network, stitches, data, sweep)
        half = sweep.autocast == "bfloat16"
        found = curve_rows(
            space, stitches, tally(network, stitches, loader, calibration=calibration, half=half)
        )
        log.add(found)
        if on_rows:
            on_rows(found)
        return [_value(row) for row in found]

    known = {space.stitch(row.stitch): _value(row) for row in log.rows}
    alone = [each.stitch for each in space.outlines.values() if each.cost.macs <= options.macs]
    if alone and not known:
        known = dict(zip(alone, measure(alone), strict=True))
    search(strategy, measure, evaluations=options.evaluations, generation=options.generation, measured=known)
    best = front([row.macs for row in log.rows], [row.top1 for row in log.rows])
    return [replace(row, on_front=each) for row, each in zip(log.rows, best, strict=True)]


def _value(row: CurveRow) -> float:
    return row.top1 - LOSS_WEIGHT * row.loss


def _identity(
    run: RunFolder, options: SearchOptions, sweep: SweepConfig, data: DataConfig, digest: str
) -> dict[str, Any]:
    """What decides a search, but for how long it goes on."""
    named = ("images", "batch_size", "calibration_images", "autocast")
    return {
        "stitchable": __version__,
        "weights": digest_file(run.weights / WEIGHTS),
        "search": {key: value for key, value in asdict(options).items() if key != "evaluations"},
        "val": [data.val, digest],
        "train": data.train if sweep.calibration_images else None,
        "sweep": {name: getattr(sweep, name) for name in named},
    }
