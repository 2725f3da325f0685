"""What each ingredient of ``stitchable fit`` is worth before any training, one added after the other.

Fits a recipe's run once per condition and measures its stitches on held-out test images. A condition's result
is written as soon as it is there; conditions that are written are skipped. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from record import machine, print_table, write
from stitchable.cli.arguments import add_run_config, command_parser, parse
from stitchable.evaluation.curve import CurveRow
from stitchable.initialization.fit import LayerFit
from stitchable.runs.config import FitConfig, RunConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.sweep import sweep_run


@dataclass(frozen=True)
class Condition:
    """What is fitted, and whether BatchNorm statistics are adjusted behind joints."""

    name: str
    fit: FitConfig
    adjusted: bool = False


def conditions(limit: int) -> list[Condition]:
    """Each has what the one before it has, and one thing more.

    Args:
        limit: Training images, at most.
    """
    plain = FitConfig(images=100, match_variance=False)
    more = replace(plain, images=limit)
    ridge = replace(more, ridge="auto")
    fewer = replace(ridge, images="auto", images_limit=limit)
    matched = replace(fewer, match_variance=True)
    return [
        Condition("plain least squares, 100 images", plain),
        Condition(f"{limit:,} images", more),
        Condition("ridges chosen", ridge),
        Condition("number of images chosen too", fewer),
        Condition("variances matched", matched),
        Condition("BatchNorm adjusted", matched, adjusted=True),
        Condition("classifiers of the joints' own", replace(matched, correct="classifier"), adjusted=True),
    ]


def configuration(words: Sequence[str]) -> RunConfig:
    """A recipe with further keys, read as the command line reads them."""
    parser = command_parser("fit", "")
    add_run_config(parser)
    arguments = parse(parser, words)
    return RunConfig(**{name: arguments[name] for name in RunConfig.__dataclass_fields__})


def fitted_summary(layers: Sequence[LayerFit]) -> dict[str, Any]:
    """R², ridges and images in short."""
    held_out = [layer.held_out_r2 for layer in layers if layer.held_out_r2 is not None]
    return {
        "images": layers[0].images,
        "median_ridge": median(layer.ridge for layer in layers),
        "largest_ridge": max(layer.ridge for layer in layers),
        "median_r2": median(layer.r2 for layer in layers),
        "median_held_out_r2": median(held_out) if held_out else None,
    }


def curve_summary(rows: Sequence[CurveRow]) -> dict[str, Any]:
    """Anchors, and the stitches in short."""
    stitched = [row for row in rows if row.anchor is None]
    top1 = [row.top1 for row in stitched]
    return {
        "test_images": rows[0].images,
        "anchors": {row.anchor: row.top1 for row in rows if row.anchor is not None},
        "stitches": len(stitched),
        "mean": mean(top1),
        "min": min(top1),
        "max": max(top1),
        "mean_loss": mean(row.loss for row in stitched),
        "top1": {row.stitch: row.top1 for row in stitched},
    }


def measure(config: RunConfig, condition: Condition, given: argparse.Namespace) -> dict[str, Any]:
    """Fit and sweep once."""
    options = replace(
        config.sweep,
        images=given.images,
        stitches=given.stitches,
        calibration_images=given.calibration if condition.adjusted else 0,
    )
    fit = replace(condition.fit, batch_size=config.fit.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        began = time.monotonic()
        made = fit_run(run, replace(config, fit=fit, sweep=options), trust_code=True)
        fitted = time.monotonic()
        rows = sweep_run(run, data=config.data, options=options, trust_code=True)
        ended = time.monotonic()
    return {
        "fit_seconds": round(fitted - began, 1),
        "sweep_seconds": round(ended - fitted, 1),
        "calibration_images": options.calibration_images,
        **fitted_summary(made.layers),
        "notes": made.notes,
        **curve_summary(rows),
    }


def show(found: dict[str, Any]) -> None:
    """Print the table of one recipe."""
    lines = []
    for name, each in found.items():
        points = [f"{each[key]:.2f}" for key in ("mean", "min", "max")]
        seconds = [str(round(each[key])) for key in ("fit_seconds", "sweep_seconds")]
        ridge = f"{each['median_ridge']:.1e}" if each["median_ridge"] else "0"
        lines.append([name, *points, f"{each['mean_loss']:.3f}", str(each["images"]), ridge, *seconds])
    print_table(["", "mean", "min", "max", "loss", "images", "ridge", "fit s", "sweep s"], lines)


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/cifar10_resnets.yaml"))
    parser.add_argument("--name", help="What the result is called; the recipe's where left out.")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/zero_training.json"))
    parser.add_argument("--images", type=int, help="Test images; all where left out.")
    parser.add_argument("--stitches", type=int, help="Stitches to measure; all where left out.")
    parser.add_argument("--limit", type=int, default=2000, help="Training images, at most.")
    parser.add_argument("--calibration", type=int, default=1000, help="Images to adjust BatchNorm on.")
    parser.add_argument("words", nargs="*", help="Further keys of the recipe, after --.")
    given = parser.parse_args()
    content: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    content.setdefault("machine", machine())
    found = content.setdefault("recipes", {}).setdefault(given.name or given.recipe.stem, {})
    config = configuration(["--config", str(given.recipe), *given.words])
    for condition in conditions(given.limit):
        if condition.name not in found:
            found[condition.name] = measure(config, condition, given)
            write(given.out, content)
    show(found)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
