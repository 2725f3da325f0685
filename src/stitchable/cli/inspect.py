"""``stitchable inspect``: the doctor. What models are made of, what to doubt, and what can be joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stitchable.cli.arguments import add_trust_code, command_parser, parse


def run(words: Sequence[str]) -> None:
    """Check models, print their blocks and doubts, say what can be joined, and end with a recipe."""
    parser = command_parser(
        "inspect", "Blocks, features, costs and doubts of models, what can be joined, and a recipe."
    )
    parser.add_argument("models", nargs="+", type=str, help="[name=]source[@weights], one or more.")
    parser.add_argument(
        "--inputs", type=str, default=None, help="The model whose image size and normalisation all take."
    )
    parser.add_argument("--format", choices=["text", "json"], default="text", help="How to print it.")
    add_trust_code(parser)
    arguments = parse(parser, words)

    from stitchable.runs.doctor import inspect_models

    report = inspect_models(arguments.models, inputs=arguments.inputs, trust_code=arguments.trust_code)
    if arguments.format == "json":
        print(json.dumps(report, indent=1))
        return
    for entry in report["models"]:
        _print_model(entry)
    if report["space"] is not None:
        _print_space(report)


def _print_space(report: dict[str, Any]) -> None:
    from stitchable.cli.display import console

    space = report["space"]
    if "reason" in space:
        print(f"These models cannot be joined: {space['reason']}")
        return
    for one in report["joints"]:
        changes = f" ({'; '.join(one['adapts'])})" if one["adapts"] else ""
        console.print(
            f"  {one['front']} to {one['end']}, stage {one['stage']}: {one['joints']} joints{changes}"
        )
    if any("grid" in change for entry in report["joints"] for change in entry["adapts"]):
        console.print("  ! grids do not match: features are resampled at these joints")
    console.print(
        f"{', '.join(space['anchors'])} can be joined: {space['stitches']:,} stitches over "
        f"{space['layers']} stitching layers with the default rules (see 'stitchable space')\n"
    )
    console.print("[bold]recipe.yaml[/bold], for 'stitchable fit --config recipe.yaml --run runs/first':\n")
    print(report["recipe"], end="")


def _print_model(entry: dict[str, Any]) -> None:
    from stitchable.cli.display import console, macs, table
    from stitchable.units import format_count

    size = "×".join(str(side) for side in entry["input"]["size"])
    console.print(
        f"[bold]{entry['name']}[/bold]  {entry['model']}, {macs(entry['macs'])}, "
        f"{format_count(entry['params'], 'params')}, {size} images, {entry['classes']} classes"
    )
    console.print(
        f"  {sum(entry['stages'])} blocks in stages of {', '.join(map(str, entry['stages']))}, split by: "
        f"{entry['split_by']}; recomposed from its parts it differs by {entry['recomposition_difference']:g}"
    )
    rows = []
    for part in entry["parts"]:
        feature = part.get("feature")
        shape = ""
        if feature:
            grid = "×".join(str(side) for side in feature["grid"])
            prefix = f" + {feature['prefix_tokens']}" if feature["prefix_tokens"] else ""
            shape = f"{feature['width']} × ({grid}{prefix}) {feature['kind']}"
            shape += ", channels last" if feature["channels_last"] else ""
        stage = "" if part["stage"] is None else str(part["stage"])
        rows.append(
            [f"  {part['part']}", stage, macs(part["macs"]), format_count(part["params"], "params"), shape]
        )
    table(["  part", "stage", "cost", "size", "feature behind it"], rows, right=(1, 2, 3))
    for doubt in entry["doubts"]:
        console.print(f"  ! {doubt}", markup=False)
    console.print()
