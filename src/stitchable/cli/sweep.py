"""``stitchable sweep``: the curve of a run."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from stitchable.cli.arguments import add_sections, add_trust_code, command_parser, parse_with_run


def run(words: Sequence[str]) -> None:
    """Measure every stitch of a run and write the report."""
    parser = command_parser("sweep", "Measure accuracy against cost for every stitch of a run.")
    parser.add_argument("run", type=str, help="Folder of the run.")
    add_sections(parser, "data", "sweep")
    add_trust_code(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace a curve of more stitches or of more images."
    )
    parser.add_argument(
        "--weights",
        choices=["auto", "fitted", "trained"],
        default="auto",
        help="The network before or after training; auto takes the trained one where there is one.",
    )
    parser.add_argument("--limit", type=int | None, default=None, help="Short for --sweep.images.")
    parser.add_argument("--stitches", type=int | str | None, default=None, help="Short for --sweep.stitches.")
    parser.add_argument(
        "--target", type=Literal["all", "front"] | None, default=None, help="Short for --sweep.target."
    )
    arguments = parse_with_run(parser, words)
    short = {"images": arguments.limit, "stitches": arguments.stitches, "target": arguments.target}
    options = replace(arguments.sweep, **{name: each for name, each in short.items() if each is not None})

    from stitchable.cli.display import console, curve_summary, progress
    from stitchable.ranks import ranks_named
    from stitchable.runs.folder import RunFolder
    from stitchable.runs.report import report_run
    from stitchable.runs.sweep import sweep_run

    first = ranks_named(os.environ).first
    folder, console.quiet = RunFolder(arguments.run), not first
    began = time.monotonic()
    with progress("sweep") as bar:
        task = bar.add_task("", total=None)
        rows = sweep_run(
            folder,
            data=arguments.data,
            options=options,
            weights=arguments.weights,
            seed=arguments.seed,
            device=arguments.device,
            overwrite=arguments.overwrite,
            trust_code=arguments.trust_code,
            on_start=lambda stitches, images: bar.update(
                task, total=images, description=f"{stitches} stitches"
            ),
            on_batch=lambda images: bar.update(task, advance=images),
            on_note=console.print,
        )
    curve_summary(rows, seconds=time.monotonic() - began)
    if first and folder.latest_curve.is_file():
        console.print(f"report   {report_run(folder)}")
