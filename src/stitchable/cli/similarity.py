"""``stitchable similarity``: how alike models are cut by cut, and what that says of joints."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from stitchable.cli.arguments import add_sections, add_trust_code, command_parser, parse
from stitchable.cli.similarity_table import print_similarity
from stitchable.runs.similarity_options import SimilarityOptions


def run(words: Sequence[str]) -> None:
    """Compare all cuts of some anchors, choose joints, test them, and write maps, numbers and a page."""
    parser = command_parser(
        "similarity", "How alike the features of models are at every two cuts, and what that says of joints."
    )
    parser.add_argument("anchors", nargs="+", type=str, help="[name=]source@weights, two or more.")
    parser.add_argument("--out", type=str, required=True, help="Folder for the results.")
    parser.add_argument("--overwrite", action="store_true", help="Replace results that the folder holds.")
    parser.add_argument(
        "--inputs",
        type=str | None,
        default=None,
        help="The anchor whose image size and normalisation all take.",
    )
    parser.add_class_arguments(SimilarityOptions)
    add_sections(parser, "data")
    add_trust_code(parser)
    arguments = parse(parser, words)
    options = SimilarityOptions(**{name: arguments[name] for name in SimilarityOptions.__dataclass_fields__})

    from stitchable.cli.display import console, duration, progress
    from stitchable.ranks import ranks_named
    from stitchable.runs.similarity import Progress, measure_similarity
    from stitchable.runs.similarity_folder import SimilarityFolder

    began, console.quiet = time.monotonic(), not ranks_named(os.environ).first
    folder = SimilarityFolder(arguments.out)
    with progress("similarity") as bar:
        task = bar.add_task("", total=None)
        found = measure_similarity(
            arguments.anchors,
            options,
            data=arguments.data,
            out=folder,
            inputs=arguments.inputs,
            seed=arguments.seed,
            device=arguments.device,
            overwrite=arguments.overwrite,
            trust_code=arguments.trust_code,
            progress=Progress(
                start=lambda name, images: bar.reset(task, total=images, description=name),
                batch=lambda images: bar.update(task, advance=images),
            ),
        )
    print_similarity(found)
    console.print(f"{found.images:,} images compared, {duration(time.monotonic() - began)}")
    console.print(f"page     {folder.page}\nnumbers  {folder.json}, {folder.csv}\nfigures  {folder.maps}")
