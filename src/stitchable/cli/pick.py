"""``stitchable pick``: the best stitch for budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from stitchable.cli.arguments import command_parser, parse
from stitchable.cli.device_costs import add_condition, condition_given, measured_costs

BUDGETS = {
    "macs": "Most MACs per image, such as 1.2G.",
    "params": "Most parameters, such as 12M.",
    "latency": "Longest time per batch, such as 8ms, of the run's profile.",
    "memory": "Most memory, such as 300MB, of the run's profile.",
}


def run(words: Sequence[str]) -> None:
    """Name the most accurate stitch within the budgets, or the cheapest that is accurate enough."""
    parser = command_parser(
        "pick",
        "The most accurate stitch of a measured run within budgets, or the cheapest that reaches a top-1.",
    )
    parser.add_argument("run", type=str, help="Folder of the run.")
    for name, text in BUDGETS.items():
        parser.add_argument(f"--{name}", type=str | None, default=None, help=text)
    parser.add_argument("--top1", type=float | None, default=None, help="Least top-1 in percent, such as 92.")
    parser.add_argument(
        "--sure", action="store_true", help="The lower end of the 95 percent interval has to reach --top1."
    )
    parser.add_argument(
        "--cheapest",
        type=Literal["macs", "params", "latency", "memory"] | None,
        default=None,
        help="Of what fits, the cheapest by this, and not the most accurate.",
    )
    add_condition(parser)
    parser.add_argument("--format", choices=["text", "json"], default="text", help="How to print it.")
    arguments = parse(parser, words)

    import json
    from dataclasses import asdict

    from stitchable.evaluation.curve import read_curve
    from stitchable.evaluation.outcomes import read_outcomes
    from stitchable.menu.axis import AXES
    from stitchable.menu.condition import list_conditions
    from stitchable.menu.pick import pick
    from stitchable.menu.pick_text import describe
    from stitchable.runs.folder import RunFolder

    folder = RunFolder(arguments.run)
    folder.require()
    rows = read_curve(folder.latest_curve)
    budgets = {name: AXES[name].parse(arguments[name]) for name in BUDGETS if arguments[name] is not None}
    profiled = condition_given(arguments) or any(
        AXES[name].on_device for name in {*budgets, arguments.cheapest} - {None}
    )
    measured = measured_costs(folder, arguments) if profiled else None
    answers = folder.latest_outcomes
    choice = pick(
        rows,
        **budgets,
        top1=arguments.top1,
        sure=arguments.sure,
        cheapest=arguments.cheapest,
        device=None if measured is None else measured.costs,
        percentile=arguments.percentile,
        outcomes=read_outcomes(answers) if answers.is_file() else None,
    )
    also = () if measured is None else measured.also
    if arguments.format == "json":
        print(json.dumps({**choice.to_dict(), "also_measured": [asdict(each) for each in also]}))
        return
    print(describe(choice))
    if also:
        print(f"also measured: {list_conditions(also)}")
