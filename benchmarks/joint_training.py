"""Joint training compared: our recipe against Algorithm 1 as published, at an equal number of image passes.

Every arm begins with the same fitted network of its seed. What is measured is written as soon as it is there,
what is written is skipped, and a training that was cut off goes on. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pyarrow.parquet as parquet
import torch
from scipy.stats import t as student

from record import machine, print_table, write
from stitchable.cli.arguments import add_run_config, command_parser, parse
from stitchable.evaluation.curve import CurveRow
from stitchable.network import StitchedNetwork
from stitchable.runs.config import RunConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.space.space import StitchingSpace

# What all arms have, unless they say otherwise.
SHARED = (
    "--space.stages [0,1,2] --space.sharing none --data.train ../shared/data/cifar10/train.parquet "
    "--data.memory true --fit.images 2000 --train.batch_size 128 --train.lr 1e-4 --train.layer_lr 3e-3 "
    "--train.label_smoothing 0 --train.augment crop_flip --train.autocast bfloat16"
)
FAMILIES = {"20, 56": (20, 56), "20, 32, 44, 56": (20, 32, 44, 56)}
TEACHER = "--train.objective.teacher resnet56"
# Uniform draws, half of the loss from the labels and half from the teacher's classes, as in DeiT;
# BatchNorm in training mode; the learning rate of the trial with the released code.
ALGORITHM_1 = (
    "--train.optimizer sgd --train.lr 0.01 --train.layer_lr 0.01 --train.weight_decay 1e-4 "
    "--train.batch_norm running --train.objective.cross_entropy 0.5 --train.objective.hard_distillation 0.5 "
    + TEACHER
)
# Anchors as they were teach on mixed images, where they are less sure than on those they know by heart;
# small batches, because each layer is trained in one step of as many as there are stitches.
OURS = (
    "--train.batch_size 32 --train.lr 3e-4 --train.layer_lr 3e-3 --train.sampler.kind rounds "
    "--train.objective.cross_entropy 0 --train.objective.soft_distillation 1 --train.objective.temperature 2 "
    "--train.objective.feature_matching 1 --train.objective.mixup 1 --train.objective.cutmix 1 " + TEACHER
)
ARMS = {
    "Algorithm 1": ALGORITHM_1 + " --sweep.calibration_images 0",
    # The same networks, measured as this library's sweep does it.
    "Algorithm 1, statistics adjusted to each path": ALGORITHM_1,
    # The same loss with this library's optimiser, learning rates and frozen statistics.
    "Algorithm 1, AdamW, frozen statistics": "--train.lr 1e-4 --train.layer_lr 3e-3 "
    "--train.objective.cross_entropy 0.5 --train.objective.hard_distillation 0.5 " + TEACHER,
    # Two epochs there; as many as the others here.
    "plain trial": "--train.lr 3e-4 --train.layer_lr 3e-3 --train.objective.cross_entropy 0 "
    "--train.objective.soft_distillation 1 --train.sampler.kind schedule " + TEACHER,
    "ours, anchors as trained": OURS,
    # The anchors so far on the way to where training took them.
    "ours, anchors half way": OURS + " --train.interpolation 0.5",
    "ours": OURS + " --train.interpolation 0.6",
}


@dataclass(frozen=True)
class Figures:
    """What the table says about one curve.

    Attributes:
        front: Mean top-1 of the rows on the front, percent.
        stitches: Mean top-1 of all stitches, percent.
        area: Mean height of the front over the straight line between the cheapest and the dearest original,
            points of top-1. The front is the best top-1 for at most so many MACs; below the cheapest row it
            is not defined, and there is no such row.
        above: Stitches above that line.
        drop: Largest loss of an anchor to its original, points; negative where all gained.
    """

    front: float
    stitches: float
    area: float
    above: int
    drop: float


def figures(rows: Sequence[CurveRow]) -> Figures:
    """Of a curve after training."""
    anchors = [row for row in rows if row.anchor]
    before = {row.macs: row.original_top1 for row in anchors if row.original_top1 is not None}
    low, high = min(before), max(before)

    def line(macs: float) -> float:
        return before[low] + (before[high] - before[low]) * (macs - low) / (high - low)

    best = sorted((row for row in rows if row.on_front), key=lambda row: row.macs)
    ends = [row.macs for row in best[1:]] + [high]
    under = sum(row.top1 * (end - row.macs) for row, end in zip(best, ends, strict=True))
    stitched = [row for row in rows if not row.anchor]
    return Figures(
        front=mean(row.top1 for row in best),
        stitches=mean(row.top1 for row in stitched),
        area=under / (high - low) - (before[low] + before[high]) / 2,
        above=sum(row.top1 > line(row.macs) for row in stitched),
        drop=max(before[row.macs] - row.top1 for row in anchors),
    )


def configuration(
    words: str, *, family: str, epochs: int, test: Path, schedule: Path, seed: int
) -> RunConfig:
    """An arm's options, read as the command line reads them."""
    parser = command_parser("fit", "")
    add_run_config(parser)
    weights = "examples/cifar_resnets.py:resnet{0}@../shared/data/cifar10_resnets/resnet{0}.safetensors"
    anchors = ",".join(weights.format(depth) for depth in FAMILIES[family])
    given = ["--anchors", anchors, *SHARED.split(), *words.split(), "--data.val", str(test)]
    given += ["--train.sampler.file", str(schedule)] if "schedule" in words else []
    given += ["--train.epochs", str(epochs), "--sweep.autocast", "bfloat16", "--seed", str(seed)]
    arguments = parse(parser, given)
    return RunConfig(**{name: arguments[name] for name in RunConfig.__dataclass_fields__})


def test_images(folder: Path, half: str) -> Path:
    """The test images that are measured on: all, or one half of them as a file of its own."""
    whole = Path("../shared/data/cifar10/test.parquet")
    if half == "all":
        return whole
    path = folder / f"test_{half}_5000.parquet"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        table = parquet.read_table(whole)
        parquet.write_table(table.slice(0 if half == "first" else 5000, 5000), path)
    return path


def write_schedule(path: Path, space: StitchingSpace, *, seed: int, steps: int = 2000) -> None:
    """The plain trial's draws: one step in five trains an anchor, the others any stitch."""
    anchors = [stitch for stitch in space if len(stitch.segments) == 1]
    stitches = [stitch for stitch in space if len(stitch.segments) > 1]
    draw = random.Random(seed)
    lines = (str(draw.choice(anchors if draw.random() < 0.2 else stitches)) for _ in range(steps))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(folder: Path, config: RunConfig) -> dict[str, Any]:
    """Fit, train and sweep one run, or as much of it as is left."""
    run = RunFolder(folder)
    if not run.fitted.is_dir():
        fit_run(run, config, overwrite=folder.is_dir())
    if config.train.sampler.kind == "schedule":
        space = StitchedNetwork.from_pretrained(run.fitted, trust_code=True).space
        write_schedule(Path(str(config.train.sampler.file)), space, seed=config.seed)
    if not run.is_trained or run.checkpoints.is_dir():
        train_run(run, data=config.data, options=config.train, seed=config.seed, trust_code=True)
    seconds = json.loads(run.train_summary_file.read_text())["seconds"]
    began = time.monotonic()
    rows = sweep_run(run, data=config.data, options=config.sweep, trust_code=True)
    return {
        "train_seconds": round(seconds, 1),
        "sweep_seconds": round(time.monotonic() - began, 1),
        **vars(figures(rows)),
        "anchors": {row.anchor: [row.original_top1, row.top1] for row in rows if row.anchor},
        "rows": {row.stitch: [row.macs, row.top1, row.on_front] for row in rows},
    }


def interval(values: Sequence[float]) -> str:
    """Mean, and half of its 95 % interval by Student's t."""
    if len(values) < 2:
        return f"{mean(values):.2f}"
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):.2f} ± {half:.2f}"


def show(results: dict[str, Any]) -> None:
    """The table: a line per family and arm, mean over the seeds with its interval."""
    lines = []
    for family, arm in itertools.product(FAMILIES, ARMS):
        found = [each for each in results.values() if (each["family"], each["arm"]) == (family, arm)]
        if found:
            columns = ("stitches", "front", "area", "drop", "train_seconds")
            cells = [interval([each[name] for each in found]) for name in columns]
            above = interval([float(each["above"]) for each in found])
            lines.append([f"{family}: {arm}", str(len(found)), *cells[:3], above, *cells[3:]])
    head = [
        "anchors and arm",
        "seeds",
        "mean of stitches",
        "front",
        "over the chord",
        "above it",
        "drop",
        "s",
    ]
    print_table(head, lines)


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/joint_training.json"))
    parser.add_argument("--runs", type=Path, default=Path("runs/joint_training"), help="folder of the runs")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--test", choices=("all", "first", "last"), default="last", help="test images")
    given = parser.parse_args()
    content: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    content |= {"benchmark": "joint_training", "machine": machine()}
    results: dict[str, Any] = content.setdefault("results", {})
    test = test_images(given.runs, given.test)
    for seed, family, arm in itertools.product(given.seeds, given.families, given.arms):
        name = f"{family}; {arm}; seed {seed}; {given.epochs} epochs; {given.test} test images"
        if name in results:
            continue
        folder = given.runs / name.replace("; ", "_").replace(", ", "-").replace(" ", "_")
        config = configuration(
            ARMS[arm],
            family=family,
            epochs=given.epochs,
            test=test,
            schedule=folder.with_suffix(".schedule"),
            seed=seed,
        )
        found = measure(folder, config)
        results[name] = {"family": family, "arm": arm, "seed": seed, "options": ARMS[arm], **found}
        results[name]["threads"] = torch.get_num_threads()
        write(given.out, content)
    show(results)


if __name__ == "__main__":
    main()
