"""``stitchable seeds``: one space under several seeds."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.cli.arguments import command_parser, parse

_LONGEST = 200  # rows of the table up to which every stitch is listed, as in the report


def run(words: Sequence[str]) -> None:
    """Print mean and spread of every stitch over runs that differ in their seed."""
    parser = command_parser("seeds", "Mean, spread and front of runs that differ in their seed alone.")
    parser.add_argument("runs", type=str, nargs="+", help="Folders of two or more measured runs.")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="How to print it.")
    arguments = parse(parser, words)

    import json

    from stitchable.cli.display import console, macs, table
    from stitchable.evaluation.seeds import pooled_deviation
    from stitchable.runs.folder import RunFolder
    from stitchable.runs.seeds import compare_seeds

    seeds, rows = compare_seeds([RunFolder(path) for path in arguments.runs])
    spread = pooled_deviation(rows)
    if arguments.format == "json":
        print(json.dumps({"seeds": seeds, "deviation": spread, "stitches": [row.to_dict() for row in rows]}))
        return
    shown = [row for row in rows if len(rows) <= _LONGEST or row.on_front or row.on_mean_front or row.anchor]
    cells = [
        [
            row.stitch,
            macs(row.macs),
            f"{row.top1:.2f} %",
            f"{row.deviation:.2f}",
            f"{row.top1_low:.2f} to {row.top1_high:.2f}",
            f"{row.on_front} of {row.seeds}" if row.on_front else "",
            "front of means" if row.on_mean_front else "",
        ]
        for row in sorted(shown, key=lambda row: (row.macs, row.index))
    ]
    columns = ["stitch", "cost", "mean top-1", "s.d.", "95 % t interval", "on front", ""]
    table(columns, cells, right=(1, 2, 3, 4, 5))
    if len(shown) < len(rows):
        console.print(f"… and {len(rows) - len(shown):,} that are never on the front (--format json for all)")
    console.print(
        f"{len(rows):,} stitches, seeds {', '.join(map(str, seeds))}; over all stitches the standard "
        f"deviation between seeds is {spread:.2f} points"
    )
