"""What racing saves, and what it stops wrongly: replayed on the answers of a whole sweep, in many orders.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from record import machine, print_table, write
from stitchable.evaluation.curve import CurveRow, read_curve
from stitchable.evaluation.outcomes import Outcomes, read_outcomes
from stitchable.evaluation.race import Race
from stitchable.runs.folder import RunFolder


def replay(
    rows: list[CurveRow], outcomes: Outcomes, *, confidence: float, seed: int, batch_size: int
) -> dict[str, float]:
    """One race over all images, in an order of its own."""
    right = outcomes.right
    count, images = right.shape
    right = right[:, np.random.default_rng(seed).permutation(images)]
    race = Race(
        [row.macs for row in rows],
        images=images,
        batch_size=batch_size,
        confidence=confidence,
        keep=[position for position, row in enumerate(rows) if row.anchor],
    )
    shown_macs = seen = start = 0
    for stop in race.rounds():
        runs = np.isin(np.arange(count), list(race.running))
        for number in range(start, stop):
            part = right[:, number * batch_size : (number + 1) * batch_size]
            race.saw(part & runs[:, None], runs)
            seen += int(runs.sum()) * part.shape[1]
            shown_macs += part.shape[1] * sum(row.macs for row, ran in zip(rows, runs, strict=True) if ran)
        start = stop
        race.decide()
    fronts = {position for position, row in enumerate(rows) if row.on_front}
    return {
        "images": seen / (count * images),
        "macs": shown_macs / (images * sum(row.macs for row in rows)),
        "stopped": count - len(race.running),
        "front_stopped": len(fronts - race.running),
    }


def main() -> None:
    """Replay, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run that was swept whole")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/racing.json"))
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--batch_size", type=int, default=250)
    given = parser.parse_args()
    run = RunFolder(given.run)
    rows, outcomes = read_curve(run.latest_curve), read_outcomes(run.latest_outcomes)
    found: dict[str, Any] = {}
    for confidence in (0.8, 0.95, 0.99):
        races = [
            replay(rows, outcomes, confidence=confidence, seed=seed, batch_size=given.batch_size)
            for seed in range(given.orders)
        ]
        found[str(confidence)] = {name: mean(each[name] for each in races) for name in races[0]}
    fronts = sum(row.on_front for row in rows)
    content = {
        "benchmark": "racing",
        "machine": machine(),
        "stitches": len(rows),
        "on_front": fronts,
        "images": len(outcomes.labels),
        "orders": given.orders,
        "confidence": found,
    }
    write(given.out, content)
    lines = [
        [
            name,
            f"{100 * each['images']:.0f} %",
            f"{100 * each['macs']:.0f} %",
            f"{each['stopped']:.1f} of {len(rows) - fronts}",
            f"{each['front_stopped']:.2f} of {fronts}",
        ]
        for name, each in found.items()
    ]
    print_table(["confidence", "images shown", "MACs", "stopped", "of the front"], lines)


if __name__ == "__main__":
    main()
