"""Do similarities predict the accuracy of stitches? Rank correlations over the joints of runs.

Computes every measure, of every kind of rows, at each joint of a run's space, and holds it against the top-1
of the stitch through that joint before training (``curve_fitted.jsonl``) and after it (``curve.jsonl``, where
there is one). The runs are read and not changed. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch

from record import machine, print_table, write
from stitchable.data.loader import image_loader
from stitchable.evaluation.curve import CurveRow, read_curve
from stitchable.initialization.fit import cut_features
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.prediction.rank_correlation import Interval, rank_correlation
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.runs.predict import r2_of
from stitchable.similarity.rows import MEASURES, Rows
from stitchable.similarity.sums import SimilaritySums
from stitchable.space.joint import Joint

Values = dict[str, dict[Joint, float]]


@dataclass(frozen=True)
class Measured:
    """A run's joints with all that is known of each, by a name such as ``pooled cka``.

    Attributes:
        known: What may predict.
        accuracy: Top-1 in percent, ``before`` and ``after`` training.
        images: Number of images that similarities were measured on.
    """

    known: Values
    accuracy: Values
    images: int


@torch.no_grad()
def similarities(
    network: StitchedNetwork, data: DataConfig, kinds: Sequence[Rows], given: argparse.Namespace
) -> tuple[Values, int]:
    """Every measure at every joint, and the number of images; one pass for all kinds of rows."""
    space = network.space
    pairs = {joint: ((joint.front, joint.leave), (joint.end, joint.enter)) for joint in space.joints}
    features = {name: outline.features for name, outline in space.outlines.items()}
    # No intervals of the similarities: those of the rank correlations are over joints.
    sums = {
        rows: SimilaritySums(features, list(pairs.values()), rows=rows, measures=MEASURES[rows], groups=0)
        for rows in kinds
    }
    cuts = {cut for pair in pairs.values() for cut in pair}
    loader = image_loader(
        open_for(network, data, "val"),
        network.input_spec,
        batch_size=given.batch,
        limit=given.images,
        shuffle_seed=0,
        workers=data.workers,
    )
    seen = 0
    with evaluating(network):
        for images, _ in loader:
            found = cut_features(network.anchors, cuts, images)
            for each in sums.values():
                each.update(found)
            seen += len(images)
    joints = {pair: joint for joint, pair in pairs.items()}
    values: Values = {}
    for rows, each in sums.items():
        for one in each.values():
            values.setdefault(f"{rows} {one.measure}", {})[joints[one.front, one.end]] = one.value
    return values, seen


def measure(run: RunFolder, given: argparse.Namespace) -> Measured:
    """All that is known of the joints of one run."""
    network = StitchedNetwork.from_pretrained(run.fitted, trust_code=True)
    stored = run.read_config()["data"]
    data = DataConfig(val=given.val or stored["val"], workers=stored.get("workers", 0))
    known, images = similarities(network, data, given.rows, given)
    r2 = r2_of(run)
    joints = network.space.joints
    if all(joint.layer in r2 for joint in joints):
        known["R² of the fit"] = {joint: r2[joint.layer] for joint in joints}
    curves = {"before": run.curve_fitted, "after": run.curve}
    rows = {name: read_curve(path) for name, path in curves.items() if path.is_file()}
    accuracy = {name: _by_joint(network, curve, "top1") for name, curve in rows.items()}
    if "before" in rows:
        known["top-1 before"] = accuracy["before"]
        loss = _by_joint(network, rows["before"], "loss")
        known["−loss before"] = {joint: -value for joint, value in loss.items()}
    return Measured(known, accuracy, images)


def _by_joint(network: StitchedNetwork, rows: Sequence[CurveRow], field: str) -> dict[Joint, float]:
    """What a curve says of the stitches with one joint."""
    space = network.space
    found = {space.path(space.stitch(row.stitch)): float(getattr(row, field)) for row in rows}
    return {path[0]: value for path, value in found.items() if len(path) == 1}


def correlations(found: Measured) -> dict[str, dict[str, Any]]:
    """By two anchors and when: Spearman's rank correlation of everything that may predict."""
    result: dict[str, dict[str, Any]] = {}
    for when, top1 in found.accuracy.items():
        for front, end in sorted({(joint.front, joint.end) for joint in top1}):
            joints = [joint for joint in top1 if (joint.front, joint.end) == (front, end)]
            if len(joints) < 4:
                continue
            y = np.array([top1[joint] for joint in joints])
            each: dict[str, Any] = {"joints": len(joints), "top1": [float(y.min()), float(y.max())]}
            for name, values in found.known.items():
                if not values.keys() >= set(joints) or values is top1:
                    continue
                rank = rank_correlation(np.array([values[joint] for joint in joints]), y)
                each[name] = rank.spearman._asdict() if rank else None
            result[f"{front} into {end}, {when} training"] = each
    return result


def show(runs: Mapping[str, Mapping[str, Any]]) -> None:
    """One table: what may predict by what is to be predicted."""
    columns = {
        f"{run}: {name} ({each['joints']})": each
        for run, found in runs.items()
        for name, each in found["spearman"].items()
    }
    names = dict.fromkeys(
        name for each in columns.values() for name, value in each.items() if name not in ("joints", "top1")
    )
    lines = []
    for name in names:
        cells = [each.get(name) for each in columns.values()]
        lines.append([name, *(str(Interval(**cell)) if cell else "" for cell in cells)])
    for number, column in enumerate(columns, start=1):
        print(f"({number}) {column}")
    print_table(["Spearman", *(f"({number})" for number in range(1, len(columns) + 1))], lines)


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="Folders of runs whose stitches were measured.")
    parser.add_argument("--names", help="What the runs are called, by commas; their folders' names else.")
    parser.add_argument("--val", help="Held-out images; those of the run where left out.")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=50, help="Images at a time, and in a mini-batch.")
    parser.add_argument("--rows", nargs="+", choices=get_args(Rows), default=list(get_args(Rows)))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/similarity_and_accuracy.json"))
    given = parser.parse_args()
    given.rows = cast("list[Rows]", given.rows)
    content: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    content.setdefault("machine", machine())
    names = given.names.split(",") if given.names else [path.resolve().name for path in given.runs]
    for name, path in zip(names, given.runs, strict=True):
        if name not in content.setdefault("runs", {}):
            found = measure(RunFolder(path), given)
            content["runs"][name] = {
                "images": found.images,
                "batch": given.batch,
                "spearman": correlations(found),
                "values": {
                    kind: {str(joint): value for joint, value in values.items()}
                    for kind, values in {**found.known, **found.accuracy}.items()
                },
            }
            write(given.out, content)
    show(content["runs"])


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
