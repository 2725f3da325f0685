"""What it takes to count, sample and search spaces that cannot be listed, against the size of the space.

Every task runs twice for its time, in CPU seconds of one thread, and once more for the memory that Python and
NumPy hold at the most while it runs. No weights are needed. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from record import machine, print_table, write
from stitchable.anchors.load import anchor_from_timm
from stitchable.space.band import CostBand
from stitchable.space.best import PathScores, scored_front
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.outline import Outline
from stitchable.space.space import StitchingSpace

DRAWS = 100
OUTLINES = {
    "DeiT-Ti/S/B, 12 blocks each": [
        ("tiny", "deit_tiny_patch16_224", 12),
        ("small", "deit_small_patch16_224", 12),
        ("base", "deit_base_patch16_224", 12),
    ],
    "DeiT-Ti, ViT-B, ViT-L, 12, 12 and 24 blocks": [
        ("tiny", "deit_tiny_patch16_224", 12),
        ("base", "vit_base_patch16_224", 12),
        ("large", "vit_large_patch16_224", 24),
    ],
}
JOINTS = (1, 2, 3, 4, 5, 6, 8)


def outline(name: str, model: str, depth: int) -> Outline:
    """One anchor's shapes and costs, of the model's full size."""
    with torch.device("meta"):
        return anchor_from_timm(model, name=name, arguments={"depth": depth}).outline


def scores_for(space: StitchingSpace, seed: int) -> PathScores:
    """Scores of the size that measured ones have, in points: what a joint costs is random."""
    draw = np.random.default_rng(seed)
    ends = dict(zip(space.outlines, (72.0, 80.0, 82.0), strict=False))
    blocks = {
        name: list(ends[name] / 10 / each.depth + draw.normal(0, 0.05, each.depth))
        for name, each in space.outlines.items()
    }
    return PathScores(ends, blocks, {joint: -float(draw.gamma(2.0, 0.1)) for joint in space.joints})


def tasks(space: StitchingSpace, seed: int) -> dict[str, Callable[[], Any]]:
    """What is asked of a space, each from nothing: no table of one is there for another."""
    dearest = max(each.cost.macs for each in space.outlines.values())
    low, high, scores = dearest // 2, dearest * 6 // 10, scores_for(space, seed)

    def fresh() -> StitchingSpace:
        return StitchingSpace(list(space.outlines.values()), space.joints, most_joints=space.most_joints)

    return {
        "count": lambda: fresh().count,
        "uniform": lambda: fresh().sample(DRAWS, seed=seed),
        "band": lambda: CostBand(fresh(), low, high).sample(DRAWS, seed=seed),
        "front": lambda: scored_front(fresh(), scores),
        "budget": lambda: scored_front(fresh(), scores, budget=high).within(high),
    }


def measure(task: Callable[[], Any]) -> dict[str, float]:
    """Seconds of the better of two runs, and the peak of a third in MiB."""
    seconds = []
    for _ in range(2):
        began = time.process_time()
        task()
        seconds.append(time.process_time() - began)
    tracemalloc.start()
    task()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"seconds": min(seconds), "peak_mib": peak / 2**20}


def describe(space: StitchingSpace, seed: int) -> dict[str, Any]:
    """What was found, to be compared from run to run."""
    chosen = tasks(space, seed)
    front, best = chosen["front"](), chosen["budget"]()
    dearest = max(each.cost.macs for each in space.outlines.values())
    band = CostBand(space, dearest // 2, dearest * 6 // 10)
    return {
        "band_at_least": band.at_least,
        "band_at_most": band.at_most,
        "front_stitches": len(front.stitches),
        "front_gap": front.gap,
        "best": str(best.stitch),
        "best_macs": best.macs,
        "best_score": best.score,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    content: dict[str, Any] = {
        "benchmark": "large_space",
        "machine": machine(),
        "settings": {"draws": DRAWS, "seed": options.seed},
        "results": [],
    }
    lines = []
    for family, models in OUTLINES.items():
        outlines = [outline(*model) for model in models]
        for joints in JOINTS:
            space = build_space(outlines, SpaceOptions(pairs="all", direction="both", joints=joints))
            found = {name: measure(task) for name, task in tasks(space, options.seed).items()}
            content["results"].append(
                {
                    "anchors": family,
                    "joints": len(space.joints),
                    "most_joints": joints,
                    "stitches": space.count,
                    **describe(space, options.seed),
                    "measured": found,
                }
            )
            cells = [f"{each['seconds']:.2f} s, {each['peak_mib']:.0f} MiB" for each in found.values()]
            lines.append([f"{family}, {joints} joints", f"{space.count:.2e}", *cells])
            print("  ".join(lines[-1]), flush=True)
    print_table(["space", "stitches", *found], lines)
    if options.out:
        write(options.out, content)


if __name__ == "__main__":
    main()
