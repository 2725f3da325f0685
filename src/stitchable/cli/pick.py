"""``stitchable pick``: the best stitch for a budget."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.cli.arguments import command_parser, parse


def run(words: Sequence[str]) -> None:
    """Name the most accurate stitch within the budgets."""
    parser = command_parser("pick", "The most accurate stitch of a measured run within a budget.")
    parser.add_argument("run", type=str, help="Folder of the run.")
    parser.add_argument("--macs", type=str | None, default=None, help="Most MACs per image, such as 1.2G.")
    parser.add_argument("--params", type=str | None, default=None, help="Most parameters, such as 12M.")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="How to print it.")
    arguments = parse(parser, words)

    import json

    from stitchable.evaluation.curve import read_curve
    from stitchable.evaluation.pick import describe, pick
    from stitchable.runs.folder import RunFolder
    from stitchable.units import parse_count

    folder = RunFolder(arguments.run)
    folder.require()
    macs = None if arguments.macs is None else parse_count(arguments.macs, "MACs")
    params = None if arguments.params is None else parse_count(arguments.params, "params")
    choice = pick(read_curve(folder.latest_curve), macs=macs, params=params)
    if arguments.format == "json":
        print(json.dumps(choice.row.to_dict()))
        return
    print(describe(choice))
