"""The steps of a run: fit, train, sweep, report, extract. The command line calls these and prints."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

import stitchable
from stitchable.anchors.anchor import Anchor
from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import load_anchor
from stitchable.cost.macs import CONVENTION
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.data.memory import hold_in_memory
from stitchable.data.sources import open_images
from stitchable.device import choose_device
from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow, read_curve, write_curve
from stitchable.evaluation.sweep import sweep, tally
from stitchable.initialization.fit import LayerFit, fit_least_squares
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.prune import PruneRule, prune, sample_members
from stitchable.space.space import StitchingSpace
from stitchable.subnetwork import Subnetwork
from stitchable.training.loop import StepRecord, TrainSummary, train
from stitchable.training.options import TrainOptions
from stitchable.training.samplers import UniformSampler

Weights = Literal["auto", "fitted", "trained"]


@dataclass(frozen=True)
class Fitted:
    """What `fit_run` made.

    Attributes:
        network: With its stitching layers initialised.
        layers: R² per layer; empty for Kaiming.
        notes: Lines worth telling, such as what pruning dropped.
    """

    network: StitchedNetwork
    layers: list[LayerFit]
    notes: list[str]


def make_space(
    anchors: list[Anchor], options: SpaceOptions, rules: list[PruneRule]
) -> tuple[StitchingSpace, list[str]]:
    """Build and prune the space of some anchors; the second value says what pruning dropped."""
    space = build_space([anchor.outline for anchor in anchors], options)
    if not rules:
        return space, []
    pruned = prune(space, rules)
    return pruned.space, [pruned.describe()]


def load_anchors(texts: list[str], *, structure_only: bool = False, trust_code: bool = False) -> list[Anchor]:
    """Load two or more anchors from their texts.

    Args:
        texts: See `stitchable.anchors.load.load_anchor`; weights must be named.
        structure_only: Read no weights; enough for shapes and costs.
        trust_code: Allow a saved anchor's own architecture file to run.

    Raises:
        StitchError: An anchor cannot be loaded, or lacks weights.
    """
    if len(texts) < 2:
        raise StitchError(f"Got {len(texts)} anchors. Name two or more: --anchors small,large.")
    return [
        load_anchor(text, need_weights=True, structure_only=structure_only, trust_code=trust_code)
        for text in texts
    ]


def fit_run(
    run: RunFolder,
    config: RunConfig,
    anchors: list[Anchor] | None = None,
    *,
    overwrite: bool = False,
    trust_code: bool = False,
) -> Fitted:
    """Build a network and initialise its stitching layers; write ``fitted/``, ``fit.json``, ``config.yaml``.

    Args:
        run: A new folder.
        config: Its ``anchors`` are loaded where none are given.
        anchors: Anchors that are loaded already.
        overwrite: Replace the run that the folder holds.
        trust_code: Allow a saved anchor's own architecture file to run.

    Raises:
        StitchError: Any of the ingredients is not as it should be; the folder is then as before.
    """
    run.check_free(overwrite=overwrite)
    if anchors is None:
        anchors = load_anchors(config.anchor_texts, trust_code=trust_code)
    for anchor in anchors:
        check_anchor(anchor)
    space, notes = make_space(anchors, config.space, config.prune)
    network = StitchedNetwork(anchors, space, seed=config.seed).to(choose_device(config.device))
    layers: list[LayerFit] = []
    if config.fit.initialization == "least_squares":
        source = open_for(network, replace(config.data, memory=False), "train")  # few images are read
        layers = fit_least_squares(
            network,
            _images_only(network, source, config.fit, config),
            ridge=config.fit.ridge,
            match_variance=config.fit.match_variance,
        )
    network.save_pretrained(run.fitted)  # refuses before it writes; the old run goes after that
    _forget(run)
    run.fit_file.write_text(
        json.dumps([asdict(layer) for layer in layers], indent=1) + "\n", encoding="utf-8"
    )
    run.write_config(config)
    return Fitted(network, layers, notes)


def _forget(run: RunFolder) -> None:
    shutil.rmtree(run.network, ignore_errors=True)
    for path in (
        run.train_file,
        run.training_file,
        run.train_summary_file,
        run.curve,
        run.curve_fitted,
        run.report,
        *run.figures,
    ):
        path.unlink(missing_ok=True)


def _images_only(
    network: StitchedNetwork, source: ImageSource, fit: FitConfig, config: RunConfig
) -> Iterator[Tensor]:
    loader = image_loader(
        source,
        network.input_spec,
        batch_size=fit.batch_size,
        shuffle_seed=config.seed,
        workers=config.data.workers,
    )
    left = fit.images
    for images, _ in loader:
        yield images[:left]
        left -= len(images)
        if left <= 0:
            return


def open_for(network: StitchedNetwork, data: DataConfig, split: Literal["train", "val"]) -> ImageSource:
    """Open the images that ``data`` names and check that the anchors can tell their classes apart.

    Raises:
        StitchError: No path is given, it does not open, or its classes are not the anchors'.
    """
    path = data.train if split == "train" else data.val
    if not path:
        raise StitchError(
            f"No images named. Give --data.{split}, a folder, a .parquet file or 'digits:{split}'."
        )
    source = open_images(path)
    count = network.class_count
    largest = int(source.labels.max())
    if largest >= count:
        raise StitchError(
            f"{path} has labels up to {largest}; the anchors tell {count} classes apart. "
            "Give the data set the anchors were trained on, or anchors with its classes."
        )
    for number, (theirs, ours) in enumerate(zip(source.classes or (), network.classes or (), strict=False)):
        if theirs != ours:
            raise StitchError(
                f"Class {number} is {theirs!r} in {path} and {ours!r} for the anchors. "
                "Bring the data's classes into the anchors' order."
            )
    return hold_in_memory(source) if data.memory else source


def train_run(
    run: RunFolder,
    *,
    data: DataConfig,
    options: TrainOptions,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    trust_code: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
) -> TrainSummary:
    """Train the fitted network of a run; write ``network/``, ``train.jsonl`` and ``train_summary.json``.

    Args:
        run: A run that was fitted.
        data: Its ``train`` images are used.
        options: See `TrainOptions`.
        seed: Of the stitches, the order of the images and their augmentation.
        device: See `choose_device`.
        overwrite: Train again a run that is trained.
        trust_code: Allow the folder's own architecture files to run.
        on_start: Called with the number of steps.
        on_step: Called after each step.

    Raises:
        StitchError: The run is not fitted or trained already, or training cannot go on.
    """
    run.require()
    if run.is_trained and not overwrite:
        raise StitchError(f"{run.path} is trained already. Pass --overwrite to train it again from its fit.")
    config = run.read_config()
    network = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(choose_device(device))
    source = open_for(network, data, "train")
    spec = network.input_spec
    batch_size = min(options.batch_size, len(source))
    steps = len(source) // batch_size
    if on_start:
        on_start(steps * options.epochs)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        loader = image_loader(
            source,
            spec,
            batch_size=batch_size,
            shuffle_seed=seed,
            epoch=epoch,
            augment=options.augment,
            workers=data.workers,
            drop_last=True,
        )
        yield from loader

    # Under another name until it is done, so that an earlier training's log outlives a failure.
    with run.training_file.open("w", encoding="utf-8", buffering=1) as log:

        def record(step: StepRecord) -> None:
            log.write(json.dumps(asdict(step)) + "\n")
            if on_step:
                on_step(step)

        summary = train(
            network,
            batches,
            sampler=UniformSampler(network.space, seed=seed),
            steps_per_epoch=steps,
            options=options,
            on_step=record,
        )
    network.save_pretrained(run.network)
    run.training_file.replace(run.train_file)
    run.train_summary_file.write_text(json.dumps(asdict(summary), indent=1) + "\n", encoding="utf-8")
    run.curve.unlink(missing_ok=True)  # it was another network's
    run.write_config(
        {**config, "data": {**config["data"], **asdict(data)}, "train": asdict(options), "seed": seed}
    )
    return summary


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
        data: Its ``val`` images are used.
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
    if on_start:
        on_start(len(stitches), min(options.images or len(source), len(source)))
    originals = None
    if trained:
        # The anchors as they came, on the same images: what joint training did to them.
        fitted = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(where)
        names = list(fitted.anchors)
        own = [fitted.space.stitch(name) for name in names]
        originals = dict(zip(names, tally(fitted, own, loader), strict=True))
    rows = sweep(network, loader, stitches=stitches, originals=originals, on_batch=on_batch)
    write_curve(run.curve if trained else run.curve_fitted, rows)
    config = run.read_config()
    run.write_config({**config, "data": {**config["data"], "val": data.val}, "sweep": asdict(options)})
    return rows


def report_run(run: RunFolder, *, title: str | None = None, chosen: str | None = None) -> Path:
    """Write ``report.html``, ``curve.svg`` and ``curve.png`` from the curves of a run.

    Args:
        run: A run with a curve.
        title: Of the page and the figure.
        chosen: Id of the stitch whose path is shown first.

    Raises:
        StitchError: There is no curve yet.
    """
    from stitchable.report.figure import draw_curve
    from stitchable.report.page import write_report

    config = run.read_config()
    rows = read_curve(run.best_curve)
    fitted = read_curve(run.curve_fitted) if run.curve_fitted.is_file() and run.curve.is_file() else None
    network_config = json.loads((run.weights / "config.json").read_text(encoding="utf-8"))
    trained = run.best_curve == run.curve
    title = title or f"Stitching {', '.join(anchor['name'] for anchor in network_config['anchors'])}"
    outlines = network_config["outlines"]
    data = config.get("data", {})
    facts = {
        "Held-out images": f"{rows[0].images:,} of {data.get('val')}",
        "Weights": "after joint training" if trained else "as fitted, before training",
        "Made with": f"stitchable {stitchable.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}",
        "Date": date.today().isoformat(),
    }
    if run.train_summary_file.is_file() and trained:
        summary = json.loads(run.train_summary_file.read_text(encoding="utf-8"))
        facts["Training"] = f"{summary['steps']:,} steps in {summary['seconds'] / 60:.1f} min"
    write_report(
        run.report,
        title=title,
        rows=rows,
        fitted=fitted,
        depths={name: len(outline["stages"]) for name, outline in outlines.items()},
        stages={name: outline["stages"] for name, outline in outlines.items()},
        facts=facts,
        chosen=chosen,
        macs_note=CONVENTION,
    )
    draw_curve(rows, title=title, path=run.figures, fitted=fitted)
    return run.report


def extract_run(run: RunFolder, stitch: str, out: Path, *, trust_code: bool = False) -> Subnetwork:
    """Write one stitch of a run as a folder of its own, read it back and compare.

    Args:
        run: A run that was fitted, best a trained one.
        stitch: Its id, or an anchor's name.
        out: A new or empty folder.
        trust_code: Allow the run's own architecture files to run.

    Raises:
        StitchError: The stitch is not in the space, the folder is in use, or what was read back differs.
    """
    run.require()
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise StitchError(f"{out} is not empty. Name a new folder for the stitch.")
    network = StitchedNetwork.from_pretrained(run.weights, trust_code=trust_code)
    sub = network.extract(stitch)
    sub.save_pretrained(out)
    back = Subnetwork.from_pretrained(out, trust_code=True)  # the code is the run's, just allowed
    spec = network.input_spec
    images = torch.randn((2, *spec.size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if not torch.equal(back(images), network(images, stitch)):
            raise StitchError(
                f"{out} does not compute what {stitch} computes in the network. Please report this."
            )
    return back
