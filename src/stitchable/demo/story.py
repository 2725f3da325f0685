"""The demo: the whole job on real input, told step by step."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from stitchable.anchors.check import check_anchor
from stitchable.anchors.store import save_anchor
from stitchable.demo.family import digit_anchors
from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.menu.pick import pick
from stitchable.runs.config import DataConfig, FitConfig, RunConfig
from stitchable.runs.extract import extract_run
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.report import report_run
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.training.options import TrainOptions
from stitchable.units import format_count

PARTS = ("anchors", "run", "model")
DATA = DataConfig(train="digits:train", val="digits:val", memory=True)
FIT = FitConfig(images=1000, batch_size=200)
# 1,000 images of 8×8 pixels: shifting them by one pixel hurts more than it helps.
TRAINING = TrainOptions(
    epochs=40,
    batch_size=50,
    lr=3e-3,
    layer_lr=3e-3,
    label_smoothing=0.0,
    clip_norm=1.0,
    augment="none",
)


def tell(out: Path, *, overwrite: bool = False, say: Callable[[str], None] = print) -> list[str]:
    """Inspect, join, fit, sweep, train, sweep, pick, extract, compare, report.

    Args:
        out: Folder for the anchors, the run and the extracted model.
        overwrite: Replace an earlier demo in it.
        say: Called with each line of the story.

    Returns:
        The five closing lines.

    Raises:
        StitchError: The folder is in use, or scikit-learn is missing.
    """
    began = time.monotonic()
    _make_room(out, overwrite=overwrite)
    say("1  three pretrained transformers for handwritten digits")
    anchors = digit_anchors()
    for anchor in anchors:
        check_anchor(anchor)
        cost = anchor.outline.cost
        say(
            f"     {anchor.name:<14}{format_count(cost.macs, 'MACs'):>12}  "
            f"{format_count(cost.params, 'params'):>14}   recomposes bit for bit"
        )
        save_anchor(anchor, out / "anchors" / anchor.name)
    config = RunConfig(
        anchors=[str(out / "anchors" / anchor.name) for anchor in anchors],
        data=DATA,
        fit=FIT,
        train=TRAINING,
    )
    run = RunFolder(out / "run")
    fitted = fit_run(run, config, anchors)
    space = fitted.network.space
    say(f"2  joined: {space.count} networks in one, over {len(space.layers)} stitching layers")
    lowest = min(layer.r2 for layer in fitted.layers)
    say(f"3  stitching layers fitted by least squares in one pass; lowest R² {lowest:.2f}")
    before = sweep_run(run, data=config.data, options=config.sweep)
    say(f"4  before any training {_mean(before)} on {before[0].images} held-out images")
    summary = train_run(run, data=config.data, options=config.train)
    say(f"5  trained {summary.steps:,} steps, one network drawn per step, {summary.seconds:.0f} s")
    after = sweep_run(run, data=config.data, options=config.sweep)
    say(f"6  after training {_mean(after)}")
    budget = _budget(after)
    choice = pick(after, macs=budget)
    say(f"7  for a budget of {format_count(budget, 'MACs')}: {choice.row.stitch}, {choice.row.top1:.1f} %")
    sub = extract_run(run, choice.row.stitch, out / "model")
    held = sum(parameter.numel() for parameter in sub.parameters())
    whole = sum(parameter.numel() for parameter in fitted.network.parameters())
    say(
        f"8  extracted as a plain model with {format_count(held, 'params')} of the network's "
        f"{format_count(whole, 'params')}; read back, bit-equal"
    )
    report_run(run, title="Stitching three digit transformers", chosen=choice.row.stitch)
    return _closing(after, choice.row, budget, out, run, time.monotonic() - began)


def _make_room(out: Path, *, overwrite: bool) -> None:
    if out.is_file():
        raise StitchError(f"{out} is a file. Name a folder for the demo.")
    found = [part for part in PARTS if (out / part).exists()]
    if found and not overwrite:
        raise StitchError(f"{out} already holds a demo. Name another folder, or replace it with --overwrite.")
    for part in found:
        shutil.rmtree(out / part)


def _mean(rows: list[CurveRow]) -> str:
    stitches = [row.top1 for row in rows if row.anchor is None]
    return (
        f"the {len(stitches)} stitches reach {sum(stitches) / len(stitches):.1f} % on average "
        f"({min(stitches):.1f} to {max(stitches):.1f})"
    )


def _budget(rows: list[CurveRow]) -> int:
    """Half of the dearest anchor's MACs: no anchor is near it, so that the pick has to be a stitch."""
    return max(row.macs for row in rows if row.anchor) // 2


def _closing(
    rows: list[CurveRow], chosen: CurveRow, budget: int, out: Path, run: RunFolder, seconds: float
) -> list[str]:
    anchors = [row for row in rows if row.anchor]
    alone = max((row for row in anchors if row.macs <= budget), key=lambda row: row.original_top1 or 0.0)
    fronts = sum(row.on_front for row in rows)
    moved = ", ".join(f"{row.anchor} {row.original_top1:.1f} to {row.top1:.1f} %" for row in anchors)
    return [
        f"{len(anchors)} models gave a menu of {len(rows)}, {fronts} on the front, in {seconds:.0f} s.",
        f"The pick reaches {chosen.top1:.1f} % at {format_count(chosen.macs, 'MACs')}; the best original "
        f"within the budget, {alone.anchor}, had {alone.original_top1:.1f} %.",
        f"Joint training moved the anchors: {moved}.",
        f"Look at {run.report} and {run.figures[1]}.",
        f"The picked model lies in {out / 'model'}; all of the run in {run.path}.",
    ]
