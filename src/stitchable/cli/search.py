"""``stitchable search``: good stitches of a space that is too large to measure."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.cli.arguments import add_sections, add_trust_code, command_parser, parse_with_run


def run(words: Sequence[str]) -> None:
    """Search within a budget, and print the best that was found."""
    parser = command_parser("search", "Search the space of a run for the most accurate stitches in a budget.")
    parser.add_argument("run", type=str, help="Folder of the run.")
    parser.add_argument("--macs", type=str, required=True, help="Most MACs per image, such as 80M.")
    parser.add_argument("--evaluations", type=int, default=200, help="How many stitches to measure.")
    parser.add_argument("--generation", type=int, default=20, help="How many at a time.")
    parser.add_argument(
        "--strategy", choices=["random", "evolution", "guided"], default="evolution", help="How to search."
    )
    parser.add_argument("--format", choices=["table", "json"], default="table", help="How to print it.")
    add_sections(parser, "data", "sweep")
    add_trust_code(parser)
    arguments = parse_with_run(parser, words)

    import json

    from stitchable.cli.display import console, macs, progress, table
    from stitchable.runs.folder import RunFolder
    from stitchable.runs.search import SearchOptions, search_run
    from stitchable.units import parse_count

    options = SearchOptions(
        parse_count(arguments.macs, "MACs"),
        evaluations=arguments.evaluations,
        generation=arguments.generation,
        strategy=arguments.strategy,
        seed=arguments.seed,
    )
    with progress("search") as bar:
        task = bar.add_task("", total=options.evaluations)
        rows = search_run(
            RunFolder(arguments.run),
            options,
            data=arguments.data,
            sweep=arguments.sweep,
            device=arguments.device,
            trust_code=arguments.trust_code,
            on_rows=lambda rows: bar.update(task, advance=len(rows)),
        )
    best = sorted((row for row in rows if row.on_front), key=lambda row: row.macs)
    if arguments.format == "json":
        print(json.dumps([row.to_dict() for row in best]))
        return
    cells = [
        [
            row.anchor or row.stitch,
            macs(row.macs),
            f"{row.top1:.2f} % ({row.top1_low:.2f} to {row.top1_high:.2f})",
        ]
        for row in best
    ]
    table(["front of what was measured", "cost", "top-1"], cells, right=(1, 2))
    console.print(
        f"{len(rows)} stitches measured on {rows[0].images:,} images. The best of many looks better than it "
        "is: measure it again on other images before it is shipped."
    )
