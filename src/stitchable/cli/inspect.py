"""``stitchable inspect``: what models are made of, and what can be joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stitchable.cli.arguments import add_trust_code, command_parser, parse


def run(words: Sequence[str]) -> None:
    """Check models, print their blocks, and say whether they can be joined."""
    parser = command_parser("inspect", "Blocks, features and costs of models, and what can be joined.")
    parser.add_argument("models", nargs="+", type=str, help="[name=]source[@weights], one or more.")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="How to print it.")
    add_trust_code(parser)
    arguments = parse(parser, words)

    from stitchable.anchors.check import check_anchor
    from stitchable.anchors.describe import describe_anchor
    from stitchable.anchors.load import load_anchor
    from stitchable.errors import StitchError
    from stitchable.network import check_compatible
    from stitchable.space.build import SpaceOptions, build_space

    anchors = [load_anchor(text, trust_code=arguments.trust_code) for text in arguments.models]
    described = []
    for anchor in anchors:
        conformance = check_anchor(anchor)
        described.append({**describe_anchor(anchor), "recomposition_difference": conformance.difference})
    joined: dict[str, Any] = {}
    if len(anchors) > 1:
        try:
            check_compatible(anchors)
            space = build_space([anchor.outline for anchor in anchors], SpaceOptions())
            joined = {"stitches": space.count, "layers": len(space.layers), "anchors": list(space.outlines)}
        except StitchError as error:
            joined = {"reason": str(error)}
    if arguments.format == "json":
        print(json.dumps({"models": described, "space": joined or None}, indent=1))
        return
    for entry in described:
        _print_model(entry)
    if "reason" in joined:
        print(f"These models cannot be joined: {joined['reason']}")
    elif joined:
        print(
            f"{', '.join(joined['anchors'])} can be joined: {joined['stitches']:,} stitches over "
            f"{joined['layers']} stitching layers with the default rules (see 'stitchable space')"
        )


def _print_model(entry: dict[str, Any]) -> None:
    from stitchable.cli.display import console, macs, table
    from stitchable.units import format_count

    size = "×".join(str(side) for side in entry["input"]["size"])
    console.print(
        f"[bold]{entry['name']}[/bold]  {entry['model']}, {macs(entry['macs'])}, "
        f"{format_count(entry['params'], 'params')}, {size} images, {entry['classes']} classes"
    )
    console.print(
        f"  {sum(entry['stages'])} blocks in stages of {', '.join(map(str, entry['stages']))}; recomposed "
        f"from its parts it differs by {entry['recomposition_difference']:g}"
    )
    rows = []
    for part in entry["parts"]:
        feature = part.get("feature")
        shape = ""
        if feature:
            grid = "×".join(str(side) for side in feature["grid"])
            prefix = f" + {feature['prefix_tokens']}" if feature["prefix_tokens"] else ""
            shape = f"{feature['width']} × ({grid}{prefix}) {feature['kind']}"
        stage = "" if part["stage"] is None else str(part["stage"])
        rows.append(
            [f"  {part['part']}", stage, macs(part["macs"]), format_count(part["params"], "params"), shape]
        )
    table(["  part", "stage", "cost", "size", "feature behind it"], rows, right=(1, 2, 3))
    console.print()
