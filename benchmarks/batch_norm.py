"""What adjusted BatchNorm statistics are worth before training, with and without matched variances.

Fits the run of ``recipes/cifar10_resnets.yaml`` twice, with ``fit.match_variance`` on and off, and measures
every stitch on the test images with the anchors' own statistics and with statistics adjusted behind each
joint. A condition's result is written as soon as it is there; conditions that are written are skipped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from record import machine, print_table, write
from stitchable.evaluation.curve import CurveRow
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.sweep import sweep_run
from zero_training import configuration

RECIPE = "recipes/cifar10_resnets.yaml"


def summary(rows: list[CurveRow], anchors: set[str]) -> dict[str, Any]:
    """Anchors and stitches in short; stages 0 and 1 are those of the recipe's ResNets."""
    stitched = [row for row in rows if row.anchor is None]
    top1 = [row.top1 for row in stitched]
    early = [row.top1 for row in stitched if enters_before(row.stitch, 18)]
    return {
        "anchors": {row.anchor: row.top1 for row in rows if row.anchor in anchors},
        "stitches": len(stitched),
        "mean": mean(top1),
        "min": min(top1),
        "max": max(top1),
        "mean_loss": mean(row.loss for row in stitched),
        "stages_0_and_1": {"mean": mean(early), "min": min(early)},
        "on_front": sum(row.on_front for row in rows),
    }


def enters_before(stitch: str, block: int) -> bool:
    """Whether the end anchor of a stitch with one joint is entered before a block."""
    return int(stitch.split("[")[-1].split(":")[0]) < block


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/batch_norm.json"))
    parser.add_argument("--images", type=int, nargs="+", default=[0, 1000], help="Images to adjust on.")
    parser.add_argument("--limit", type=int, default=None, help="Test images; all where left out.")
    given = parser.parse_args()
    content: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    content.setdefault("machine", machine())
    conditions: dict[str, Any] = content.setdefault("conditions", {})
    config = configuration(["--config", RECIPE])
    for match in (True, False):
        wanted = {f"match_variance {match}, calibration_images {images}": images for images in given.images}
        if wanted.keys() <= conditions.keys():
            continue
        with tempfile.TemporaryDirectory() as folder:
            run = RunFolder(Path(folder) / "run")
            fitted = fit_run(run, replace(config, fit=replace(config.fit, match_variance=match)))
            anchors = set(fitted.network.anchors)
            for name, images in wanted.items():
                if name in conditions:
                    continue
                began = time.monotonic()
                options = replace(config.sweep, calibration_images=images, images=given.limit)
                rows = sweep_run(run, data=config.data, options=options, trust_code=True)
                conditions[name] = {
                    "match_variance": match,
                    **asdict(options),
                    "seconds": round(time.monotonic() - began, 1),
                    **summary(rows, anchors),
                    "rows": [row.to_dict() for row in rows],
                }
                write(given.out, content)
    print_table(
        ["", "mean", "min", "max", "stages 0 and 1", "loss", "front"],
        [
            [
                name,
                *(f"{each[key]:.2f}" for key in ("mean", "min", "max")),
                f"{each['stages_0_and_1']['mean']:.2f}",
                f"{each['mean_loss']:.3f}",
                str(each["on_front"]),
            ]
            for name, each in conditions.items()
        ],
    )


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
