"""``stitchable extract``: one stitch as a small plain model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stitchable.cli.arguments import add_sections, add_trust_code, command_parser, parse_with_run
from stitchable.runs.config import SweepConfig


def run(words: Sequence[str]) -> None:
    """Write one stitch of a run as a folder of its own."""
    parser = command_parser("extract", "One stitch of a run as a small plain model in a folder of its own.")
    parser.add_argument("run", type=str, help="Folder of the run.")
    parser.add_argument("--stitch", type=str, required=True, help="Its id, or an anchor's name.")
    parser.add_argument("--out", type=str, required=True, help="A new folder.")
    add_sections(parser, "data")
    parser.add_class_arguments(SweepConfig, "sweep", skip={"images", "stitches"})
    add_trust_code(parser)
    arguments = parse_with_run(parser, words)

    from stitchable.runs.extract import extract_run
    from stitchable.runs.folder import RunFolder
    from stitchable.units import format_count

    out = Path(arguments.out)
    sub = extract_run(
        RunFolder(arguments.run),
        arguments.stitch,
        out,
        data=arguments.data,
        options=arguments.sweep,
        device=arguments.device,
        trust_code=arguments.trust_code,
    )
    params = sum(parameter.numel() for parameter in sub.parameters())
    print(f"{sub.stitch}: {format_count(params, 'params')}, bit-equal to the network and read back")
    if sub.calibration_images:
        print(
            f"its BatchNorm statistics behind the joints were then adjusted on "
            f"{sub.calibration_images:,} training images; --sweep.calibration_images 0 keeps the network's"
        )
    print(f"model    {out}")
