"""Searching against measuring everything: how far the best stitch found is below the best there is.

Simulated on the curve of a run whose whole space was swept, so that many seeds cost nothing. See README.md
beside this file for the commands that record such a curve.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from record import machine, print_table, write
from stitchable.evaluation.curve import CurveRow, read_curve
from stitchable.network import StitchedNetwork
from stitchable.prediction.additive import AdditiveFeatures, held_out
from stitchable.prediction.rank_correlation import rank_correlation
from stitchable.runs.folder import RunFolder
from stitchable.runs.predict import r2_of
from stitchable.search.search import search
from stitchable.search.strategies import STRATEGIES, strategy_named
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

EVALUATIONS = (30, 50, 70, 100, 150, 200)
GENERATION = 10


def simulate(
    space: StitchingSpace,
    rows: dict[Stitch, CurveRow],
    name: str,
    macs: int,
    *,
    seed: int,
    r2: dict[str, float],
) -> list[float]:
    """Regret in points of top-1 after each number of evaluations."""

    def measure(stitches: Sequence[Stitch]) -> list[float]:
        # Ties in top-1 are told apart by the loss, as `stitchable search` does.
        return [rows[stitch].top1 - 1e-3 * rows[stitch].loss for stitch in stitches]

    strategy = strategy_named(name, space, macs, seed=seed, r2=r2)
    found = search(strategy, measure, evaluations=max(EVALUATIONS), generation=GENERATION)
    best = max(row.top1 for row in rows.values() if row.macs <= macs)
    so_far = np.maximum.accumulate([rows[stitch].top1 for stitch in found])
    return [best - float(so_far[min(number, len(so_far)) - 1]) for number in EVALUATIONS]


def additive_correlation(space: StitchingSpace, rows: dict[Stitch, CurveRow], r2: dict[str, float]) -> Any:
    """How well the additive predictor orders stitches that it has not seen, fitted to 200 of the space."""
    chosen = list(dict.fromkeys(space.sample(200)))
    measured = {stitch: rows[stitch].top1 for stitch in chosen}
    found = rank_correlation(
        held_out(AdditiveFeatures(space, r2), measured), np.array(list(measured.values()))
    )
    return found and {"spearman": found.spearman._asdict(), "kendall": found.kendall._asdict()}


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run of which every stitch was measured")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.2, 0.5], help="of the dearest anchor")
    parser.add_argument("--trust_code", action="store_true")
    options = parser.parse_args()
    run = RunFolder(options.run)
    space = StitchedNetwork.from_pretrained(run.fitted, trust_code=options.trust_code).space
    rows = {space.stitch(row.stitch): row for row in read_curve(run.latest_curve)}
    if len(rows) < space.count:
        raise SystemExit(f"{len(rows)} of {space.count} stitches were measured. Sweep them all.")
    r2, dearest = r2_of(run), max(each.cost.macs for each in space.outlines.values())
    content: dict[str, Any] = {
        "benchmark": "search",
        "machine": machine(),
        "space": {"anchors": list(space.outlines), "joints": len(space.joints), "stitches": space.count},
        "images": next(iter(rows.values())).images,
        "settings": {"seeds": options.seeds, "generation": GENERATION, "evaluations": EVALUATIONS},
        "additive_predictor": additive_correlation(space, rows, r2),
        "results": [],
    }
    lines = []
    for share in options.budgets:
        macs = int(share * dearest)
        inside = [row.top1 for row in rows.values() if row.macs <= macs]
        for name in STRATEGIES:
            began = time.process_time()
            regrets = np.array(
                [simulate(space, rows, name, macs, seed=seed, r2=r2) for seed in range(options.seeds)]
            )
            content["results"].append(
                {
                    "budget_share": share,
                    "budget_macs": macs,
                    "within_budget": len(inside),
                    "best_top1": max(inside),
                    "median_top1": float(np.median(inside)),
                    "strategy": name,
                    "mean_regret": regrets.mean(0).tolist(),
                    "standard_error": (regrets.std(0, ddof=1) / len(regrets) ** 0.5).tolist(),
                    "share_that_found_the_best": (regrets < 1e-9).mean(0).tolist(),
                    "seconds_per_search": (time.process_time() - began) / options.seeds,
                }
            )
            means = [f"{value:.2f}" for value in regrets.mean(0)]
            lines.append([f"{share:.0%} of the MACs ({len(inside)} stitches), {name}", *means])
            print("  ".join(lines[-1]), flush=True)
    print_table(["mean regret after", *map(str, EVALUATIONS)], lines)
    if options.out:
        write(options.out, content)


if __name__ == "__main__":
    main()
