"""``stitchable reassemble``: new networks of the parts of a zoo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from stitchable.cli.arguments import add_trust_code, command_parser, parse_with_config
from stitchable.errors import StitchError
from stitchable.runs.zoo_config import ZooConfig

if TYPE_CHECKING:
    from stitchable.reassembly.ranking import Candidate, Ranking

_TRAIN = "--train"


def run(words: Sequence[str]) -> None:
    """Cut a zoo into parts, join the best networks made of them, measure them, and print the table."""
    parser = command_parser(
        "reassemble",
        "Cut the models of a zoo into parts and make new networks of them, within bounds on params and MACs: "
        "a new run folder. With the word --train alone the run is trained and measured again, as by "
        "'stitchable train' and 'stitchable sweep'.",
    )
    parser.add_argument("zoo", type=str, help="YAML file with any of the keys below.")
    parser.add_argument("--config", action="config", help="A further such file, which wins over the zoo's.")
    parser.add_class_arguments(ZooConfig)
    for name, text in (("params", "Most params, such as 12M."), ("macs", "Most MACs, such as 2G.")):
        parser.add_argument(
            f"--{name}", type=str | None, default=None, help=f"{text} Short for --reassembly.{name}."
        )
    parser.add_argument("--score", type=str | None, default=None, help="Short for --reassembly.score.")
    parser.add_argument("--top", type=int | None, default=None, help="Short for --reassembly.top.")
    parser.add_argument(
        "--run", type=str | None, default=None, help="Folder of the run; runs/NAME for a zoo NAME.yaml."
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the run that the folder holds.")
    parser.add_argument("--format", choices=["table", "json"], default="table", help="How to print it.")
    add_trust_code(parser)
    arguments = parse_with_config(parser, "zoo", [word for word in words if word != _TRAIN])
    config = _config(arguments)
    if _TRAIN in words and arguments.format == "json":
        raise StitchError("--train prints what training does, and that is no JSON. Give one of both.")

    import json

    from stitchable.cli.display import console
    from stitchable.ranks import ranks_named
    from stitchable.runs.folder import RunFolder
    from stitchable.runs.reassemble import reassemble_run
    from stitchable.runs.report import report_run

    first, as_json = ranks_named(os.environ).first, arguments.format == "json"
    folder = RunFolder(arguments.run or Path("runs") / Path(arguments.zoo).stem)
    console.quiet = not first
    found = reassemble_run(
        folder,
        config,
        overwrite=arguments.overwrite,
        trust_code=arguments.trust_code,
        on_note=None if as_json else console.print,
    )
    if as_json and first:
        print(json.dumps(json.loads(folder.reassembly.read_text(encoding="utf-8"))))
    elif first:
        _print(found, config.reassembly.top)
        console.print(f"report   {report_run(folder)}\nrun      {folder.path}")
    if _TRAIN in words:
        _train(str(folder.path))


def _config(arguments: Namespace) -> ZooConfig:
    given = {name: arguments[name] for name in ("params", "macs", "score", "top")}
    short = {name: value for name, value in given.items() if value is not None}
    config = ZooConfig(**{name: arguments[name] for name in ZooConfig.__dataclass_fields__})
    return replace(config, reassembly=replace(config.reassembly, **short))


def _train(run: str) -> None:
    """Go on as the commands do; that the saved anchors may run has been decided when they were read."""
    from stitchable.cli import sweep, train

    train.run([run, "--trust_code"])
    sweep.run([run, "--trust_code"])


def _print(found: Ranking, top: int) -> None:
    from stitchable.cli.display import console, macs, table
    from stitchable.report.path_line import path_line
    from stitchable.stitch import Stitch
    from stitchable.units import format_count

    names = [Stitch.parse(each.stitch).anchors[0] for each in found.anchors]

    def cells(number: str, each: Candidate) -> list[str]:
        return [
            number,
            f"{each.top1:.2f} % ({each.top1_low:.2f} to {each.top1_high:.2f})",
            "" if each.score is None else f"{each.score:.4g}",
            macs(each.macs),
            format_count(each.params, "params"),
            path_line(Stitch.parse(each.stitch), names),
            each.stitch,
        ]

    rows = [cells(str(number), each) for number, each in enumerate(found.candidates[:top], start=1)]
    rows += [cells("anchor", each) for each in found.anchors]
    head = ["", "top-1 before training", "score", "cost", "size", "path", "stitch"]
    table(head, rows, right=(0, 1, 2, 3, 4))
    if len(found.candidates) > top:
        console.print(f"… and {len(found.candidates) - top} more of the shortlist, in reassembly.json")
    console.print(found.describe())
