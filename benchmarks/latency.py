"""Latency of stitches, predicted from their parts, against what extracted stitches take when run whole.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from overhead import cifar_resnets, vits
from record import machine, print_table, write
from stitchable.anchors.anchor import Anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.evaluation.device_cost import Condition, DeviceCosts
from stitchable.evaluation.disagreement import spearman
from stitchable.network import StitchedNetwork
from stitchable.profiling.profile import profile


def mixed() -> list[Anchor]:
    """ResNet-18 and Swin-T at 224×224, random weights."""
    names = {"resnet18": "resnet18", "swin_tiny": "swin_tiny_patch4_window7_224"}
    return [anchor_from_timm(model, name=name) for name, model in names.items()]


FAMILIES = {"deit": vits, "cifar_resnet": cifar_resnets, "resnet_swin": mixed}


def measure(family: str, condition: Condition, given: argparse.Namespace) -> dict[str, Any]:
    """One family under one condition, as plain data."""
    network = StitchedNetwork(FAMILIES[family]()).eval()
    stitches = list(network.space)
    load = round(os.getloadavg()[0], 2)
    costs = profile(network, condition, stitches, check=given.check, seconds=given.seconds)
    return {
        "family": family,
        "condition": asdict(condition),
        "load_before": load,
        "stitches": len(stitches),
        "error": costs.error,
        "worst": max(abs(row["p50_ms"] / row["measured_p50_ms"] - 1) for row in costs.notes["check"]),
        "rank_correlation": _alike(network, costs),
        "notes": costs.notes,
    }


def _alike(network: StitchedNetwork, costs: DeviceCosts) -> float | None:
    macs = [network.cost(stitch).macs for stitch in costs.stitches]
    return spearman(macs, [cost.p50_ms for cost in costs.stitches.values()])


def main() -> None:
    """Measure, print and write; what the file has already is not measured again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write and to go on from")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--runtimes", nargs="+", default=["eager", "onnxruntime"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", type=int, default=6, help="stitches measured whole")
    parser.add_argument("--seconds", type=float, default=15.0, help="time for each condition")
    given = parser.parse_args()
    content: dict[str, Any] = {"benchmark": "latency", "machine": machine(), "results": []}
    if given.out and given.out.is_file():
        content = json.loads(given.out.read_text(encoding="utf-8"))
    done = {(row["family"], Condition(**row["condition"])) for row in content["results"]}
    for family in given.families:
        for runtime in given.runtimes:
            for batch in given.batches:
                condition = Condition(runtime=runtime, batch=batch, threads=given.threads)
                if (family, condition) in done:
                    continue
                content["results"].append(measure(family, condition, given))
                print(family, condition, f"error {content['results'][-1]['error']:.1%}", flush=True)
                if given.out:
                    write(given.out, content)
    lines = [
        [
            f"{row['family']}, {Condition(**row['condition'])}",
            f"{100 * row['error']:.1f}",
            f"{100 * row['worst']:.1f}",
            f"{row['rank_correlation']:.3f}",
            ", ".join(f"{each:.2f}" for each in row["notes"]["scale"].values()),
        ]
        for row in content["results"]
    ]
    print_table(["family", "median error %", "worst %", "rank correlation with MACs", "scale"], lines)


if __name__ == "__main__":
    main()
