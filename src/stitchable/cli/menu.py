"""``stitchable menu``: a few well-spaced stitches that are worth having."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.cli.arguments import command_parser, parse
from stitchable.cli.device_costs import add_condition, measured_costs


def run(words: Sequence[str]) -> None:
    """Choose a menu from the curve of a run."""
    parser = command_parser("menu", "A few well-spaced stitches of a measured run that are worth having.")
    parser.add_argument("run", type=str, help="Folder of the run.")
    parser.add_argument("--size", type=int, default=5, help="Most entries.")
    parser.add_argument(
        "--axis", choices=["macs", "params", "latency", "memory"], default="macs", help="What an entry costs."
    )
    parser.add_argument(
        "--keep_anchors", action="store_true", help="Have every anchor in it, worth having or not."
    )
    parser.add_argument(
        "--top1", type=float, default=0.0, help="Leave out what is less accurate, in percent."
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="That an entry beats the one before.")
    parser.add_argument(
        "--gap",
        type=float,
        default=1.25,
        help="Ratio of costs from which a range without anything better is a gap.",
    )
    add_condition(parser)
    parser.add_argument("--out", type=str | None, default=None, help="A file to write it to, .yaml or .json.")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="How to print it.")
    arguments = parse(parser, words)

    import json

    from stitchable.evaluation.curve import read_curve
    from stitchable.evaluation.outcomes import read_outcomes
    from stitchable.menu.axis import AXES
    from stitchable.menu.condition import list_conditions
    from stitchable.menu.menu import build_menu
    from stitchable.menu.menu_file import write_menu
    from stitchable.menu.menu_text import describe_menu, menu_table
    from stitchable.runs.folder import RunFolder

    folder = RunFolder(arguments.run)
    folder.require()
    rows = read_curve(folder.latest_curve)
    measured = measured_costs(folder, arguments) if AXES[arguments.axis].on_device else None
    answers = folder.latest_outcomes
    menu = build_menu(
        rows,
        arguments.size,
        axis=arguments.axis,
        device=None if measured is None else measured.costs,
        percentile=arguments.percentile,
        outcomes=read_outcomes(answers) if answers.is_file() else None,
        confidence=arguments.confidence,
        keep_anchors=arguments.keep_anchors,
        top1=arguments.top1,
        gap_ratio=arguments.gap,
    )
    if arguments.out is not None:
        write_menu(arguments.out, menu)
    if arguments.format == "json":
        print(json.dumps(menu.to_dict()))
        return

    print("\n".join([*menu_table(menu), *describe_menu(menu)]))
    if measured is not None and measured.also:
        print(f"also measured: {list_conditions(measured.also)}")
    if arguments.out is not None:
        print(f"menu     {arguments.out}")
