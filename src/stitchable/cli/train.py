"""``stitchable train``: joint training of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from stitchable.cli.arguments import add_sections, add_trust_code, command_parser, parse_with_run


def run(words: Sequence[str]) -> None:
    """Train the joint network of a run."""
    parser = command_parser("train", "Train the joint network of a run, one stitch or several per step.")
    parser.add_argument("run", type=str, help="Folder of the run.")
    add_sections(parser, "data", "train", "track")
    add_trust_code(parser)
    parser.add_argument("--overwrite", action="store_true", help="Train again a run that is trained.")
    parser.add_argument(
        "--resume",
        type=Literal["auto", "never"],
        default="auto",
        help="Go on with a training that was cut off (auto), or begin anew (never).",
    )
    arguments = parse_with_run(parser, words)

    from stitchable.cli.display import console, duration, progress
    from stitchable.ranks import ranks_named
    from stitchable.runs.folder import RunFolder
    from stitchable.runs.train import train_run
    from stitchable.training.loop import StepRecord

    folder, console.quiet = RunFolder(arguments.run), not ranks_named(os.environ).first
    with progress("training") as bar:
        task = bar.add_task("", total=None)

        def step(record: StepRecord) -> None:
            bar.update(task, completed=record.step + 1, description=f"loss {record.loss:.3f}")

        summary = train_run(
            folder,
            data=arguments.data,
            options=arguments.train,
            track=arguments.track,
            seed=arguments.seed,
            device=arguments.device,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            trust_code=arguments.trust_code,
            on_start=lambda steps: bar.update(task, total=steps),
            on_step=step,
            on_note=console.print,
        )
    counts = list(summary.counts.values())
    console.print(
        f"{summary.steps:,} steps in {duration(summary.seconds)}; {len(counts):,} of {summary.space:,} "
        f"stitches trained, {min(counts)} to {max(counts)} steps each"
    )
    if summary.macs_run < summary.macs_alone:
        saved = 100 * (1 - summary.macs_run / summary.macs_alone)
        console.print(f"shared prefixes saved {saved:.0f} % of the forward MACs")
    if summary.anchor_drops:
        changes = (f"{name} {0.0 - drop:+.2f}" for name, drop in summary.anchor_drops.items())
        console.print(f"anchors against their originals, in points of top-1: {', '.join(changes)}")
    console.print(f"network {folder.network}\nnext    stitchable sweep {folder.path}")
