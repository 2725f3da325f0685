"""``stitchable demo``: the whole job, in under two minutes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stitchable.cli.arguments import command_parser, parse


def run(words: Sequence[str]) -> None:
    """Tell the demo's story."""
    parser = command_parser("demo", "The whole job on scikit-learn's handwritten digits; no network is used.")
    parser.add_argument("--out", type=str, default="runs/demo", help="Folder for everything it writes.")
    parser.add_argument("--overwrite", action="store_true", help="Replace an earlier demo in that folder.")
    arguments = parse(parser, words)

    from stitchable.demo.story import tell

    closing = tell(Path(arguments.out), overwrite=arguments.overwrite)
    print()
    for line in closing:
        print(line)
