"""``stitchable fit``: a new run."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from stitchable.cli.arguments import add_run_config, add_trust_code, command_parser, parse
from stitchable.runs.config import RunConfig


def run(words: Sequence[str]) -> None:
    """Join anchors, initialise the stitching layers, write the run folder."""
    parser = command_parser("fit", "Join anchors and initialise the stitching layers: a new run folder.")
    add_run_config(parser)
    parser.add_argument("--run", type=str, required=True, help="Folder of the run.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the run that the folder holds.")
    add_trust_code(parser)
    arguments = parse(parser, words)
    config = RunConfig(**{name: arguments[name] for name in RunConfig.__dataclass_fields__})

    from stitchable.cli.display import console, duration
    from stitchable.ranks import ranks_named
    from stitchable.runs.fit import fit_run
    from stitchable.runs.folder import RunFolder

    began = time.monotonic()
    folder, console.quiet = RunFolder(arguments.run), not ranks_named(os.environ).first
    fitted = fit_run(folder, config, overwrite=arguments.overwrite, trust_code=arguments.trust_code)
    space = fitted.network.space
    for note in fitted.notes:
        console.print(note)
    console.print(
        f"{space.count:,} stitches of {', '.join(space.outlines)} over {len(space.layers)} stitching layers, "
        f"{duration(time.monotonic() - began)}"
    )
    if fitted.layers:
        values = sorted((layer.r2, layer.layer) for layer in fitted.layers)
        console.print(
            f"R² of the least-squares fit: {values[0][0]:.3f} ({values[0][1]}) to {values[-1][0]:.3f} "
            f"({values[-1][1]}), median {values[len(values) // 2][0]:.3f}"
        )
    console.print(
        f"run     {folder.path}\nnext    stitchable sweep {folder.path}, stitchable train {folder.path}"
    )
