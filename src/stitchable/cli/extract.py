"""``stitchable extract``: one stitch as a small plain model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stitchable.cli.arguments import add_trust_code, command_parser, parse


def run(words: Sequence[str]) -> None:
    """Write one stitch of a run as a folder of its own."""
    parser = command_parser("extract", "One stitch of a run as a small plain model in a folder of its own.")
    parser.add_argument("run", type=str, help="Folder of the run.")
    parser.add_argument("--stitch", type=str, required=True, help="Its id, or an anchor's name.")
    parser.add_argument("--out", type=str, required=True, help="A new folder.")
    add_trust_code(parser)
    arguments = parse(parser, words)

    from stitchable.runs.extract import extract_run
    from stitchable.runs.folder import RunFolder
    from stitchable.units import format_count

    out = Path(arguments.out)
    sub = extract_run(RunFolder(arguments.run), arguments.stitch, out, trust_code=arguments.trust_code)
    params = sum(parameter.numel() for parameter in sub.parameters())
    print(f"{sub.stitch}: {format_count(params, 'params')}, read back and bit-equal to the network")
    print(f"model    {out}")
