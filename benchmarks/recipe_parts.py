"""One part of the recipe after the other, where anchors are far apart and training is long.

The demo's three ViTs on handwritten digits, forty epochs: each arm changes one thing of the demo's training,
the last one all of them. Every arm begins with the same fitted network of its seed; a result is written as
soon as it is there, and what is written is skipped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

from joint_training import interval
from record import machine, print_table, write
from stitchable.anchors.store import save_anchor
from stitchable.demo.family import digit_anchors
from stitchable.demo.story import DATA, FIT, TRAINING
from stitchable.evaluation.curve import CurveRow
from stitchable.runs.config import RunConfig, SweepConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.samplers.options import SamplerOptions

ROUNDS = SamplerOptions(kind="rounds")
TEACHER = ObjectiveOptions(cross_entropy=0.0, soft_distillation=1.0, temperature=2.0)
ALL = replace(TEACHER, feature_matching=1.0, mixup=1.0, cutmix=1.0)
ARMS = {
    "labels, uniform draws (the demo)": TRAINING,
    "rounds": replace(TRAINING, sampler=ROUNDS),
    "the original as teacher instead of labels": replace(TRAINING, objective=TEACHER),
    "that, and its late feature": replace(TRAINING, objective=replace(TEACHER, feature_matching=1.0)),
    "mixed images": replace(TRAINING, objective=ObjectiveOptions(mixup=1.0, cutmix=1.0)),
    "anchors six tenths of the way": replace(TRAINING, interpolation=0.6),
    "all of it": replace(TRAINING, sampler=ROUNDS, objective=ALL, interpolation=0.6),
    "all but mixed images and the way": replace(
        TRAINING, sampler=ROUNDS, objective=replace(TEACHER, feature_matching=1.0)
    ),
}


@contextmanager
def fitted(seed: int) -> Iterator[RunFolder]:
    """A run of the demo's anchors, for a while."""
    with tempfile.TemporaryDirectory() as folder:
        anchors, run = digit_anchors(), RunFolder(Path(folder) / "run")
        for anchor in anchors:
            save_anchor(anchor, Path(folder) / anchor.name)
        names = [str(Path(folder) / anchor.name) for anchor in anchors]
        fit_run(run, RunConfig(names, data=DATA, fit=FIT, seed=seed), anchors)
        yield run


def summary(rows: list[CurveRow]) -> dict[str, Any]:
    """What the table says about one curve; percent, points and nats."""
    stitched = [row for row in rows if row.anchor is None]
    anchors = {row.anchor: [row.original_top1, row.top1] for row in rows if row.anchor}
    return {
        "mean": mean(row.top1 for row in stitched),
        "min": min(row.top1 for row in stitched),
        "front": mean(row.top1 for row in rows if row.on_front),
        "loss": mean(row.loss for row in stitched),
        "drop": max(before - after for before, after in anchors.values()),
        "anchors": anchors,
        "rows": {row.stitch: [row.macs, row.top1, row.on_front] for row in rows},
    }


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/recipe_parts.json"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    content: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    content |= {"benchmark": "recipe_parts", "machine": machine()}
    results: dict[str, Any] = content.setdefault("results", {})
    for seed in given.seeds:
        names = {f"{arm}; seed {seed}": options for arm, options in ARMS.items()}
        if names.keys() <= results.keys():
            continue
        with fitted(seed) as run:
            for name, options in names.items():
                if name not in results:
                    trained = train_run(run, data=DATA, options=options, seed=seed, overwrite=True)
                    rows = sweep_run(run, data=DATA, options=SweepConfig())
                    results[name] = {**summary(rows), "train_seconds": round(trained.seconds, 1)}
                    results[name]["options"] = asdict(options)
                    write(given.out, content)
    columns = ("mean", "min", "front", "loss", "drop")
    lines = []
    for arm in ARMS:
        found = [each for name, each in results.items() if name.startswith(f"{arm}; ")]
        if found:
            lines.append([arm, *(interval([each[column] for each in found]) for column in columns)])
    print_table(["", "mean of stitches", "min", "front", "loss", "largest drop"], lines)


if __name__ == "__main__":
    main()
