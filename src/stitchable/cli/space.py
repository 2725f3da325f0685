"""``stitchable space``: the stitches of some anchors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice

from stitchable.cli.arguments import add_run_config, add_trust_code, command_parser, parse
from stitchable.errors import StitchError
from stitchable.runs.config import split_anchors


def run(words: Sequence[str]) -> None:
    """Print the space as a table or as JSON lines."""
    parser = command_parser("space", "The stitches of some anchors with their costs. No weights are needed.")
    add_run_config(parser)
    parser.add_argument("--format", choices=["table", "jsonl"], default="table", help="How to print it.")
    parser.add_argument("--limit", type=int | None, default=None, help="Print at most this many stitches.")
    add_trust_code(parser)
    arguments = parse(parser, words)
    if arguments.limit is not None and arguments.limit < 0:
        raise StitchError(f"--limit is a number of stitches; got {arguments.limit}.")

    from stitchable.cli.display import console, macs, table
    from stitchable.runs.fit import load_anchors, make_space
    from stitchable.units import format_count

    anchors = load_anchors(
        split_anchors(arguments.anchors), structure_only=True, trust_code=arguments.trust_code
    )
    space, notes = make_space(anchors, arguments.space, arguments.prune)
    if arguments.format == "jsonl":
        for index, stitch in enumerate(islice(space, arguments.limit)):
            cost = space.cost(stitch)
            line = {"index": index, "stitch": str(stitch), "macs": cost.macs, "params": cost.params}
            print(json.dumps(line | ({"anchor": stitch.anchors[0]} if len(stitch.segments) == 1 else {})))
        return
    limit = 40 if arguments.limit is None else arguments.limit
    rows = []
    for index, stitch in enumerate(islice(space, limit)):
        cost = space.cost(stitch)
        rows.append([str(index), str(stitch), macs(cost.macs), format_count(cost.params, "params")])
    table(["index", "stitch", "cost", "size"], rows, right=(0, 2, 3))
    if space.count > len(rows):
        console.print(f"… and {space.count - len(rows):,} more (--limit N, or --format jsonl for all)")
    by_joints = ", ".join(f"{count:,} with {joints}" for joints, count in enumerate(space.counts))
    console.print(
        f"{space.count:,} stitches by number of joints: {by_joints}; {len(space.layers)} stitching layers"
    )
    for note in notes:
        console.print(note)
