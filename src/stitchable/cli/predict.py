"""``stitchable predict``: accuracies after training, predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stitchable.cli.arguments import add_sections, add_trust_code, command_parser, parse_with_run

if TYPE_CHECKING:
    from stitchable.prediction.predict import Prediction


def run(words: Sequence[str]) -> None:
    """Fit the predictor of a run and print what it says and how well it orders what was measured."""
    parser = command_parser(
        "predict", "Predict the accuracy after training from what is known before it, and say how surely."
    )
    parser.add_argument("run", type=str, help="Folder of a trained run.")
    parser.add_argument(
        "--images", type=int, default=200, help="Images for the similarity at the joints; 0 leaves it out."
    )
    parser.add_argument("--limit", type=int, default=40, help="Print at most this many stitches.")
    parser.add_argument("--format", choices=["table", "json"], default="table", help="How to print it.")
    add_sections(parser, "data")
    add_trust_code(parser)
    arguments = parse_with_run(parser, words)

    import json

    from stitchable.runs.folder import RunFolder
    from stitchable.runs.predict import predict_run

    found = predict_run(
        RunFolder(arguments.run),
        data=arguments.data,
        images=arguments.images,
        seed=arguments.seed,
        trust_code=arguments.trust_code,
    )
    if arguments.format == "json":
        print(json.dumps(found.to_dict()))
    else:
        _print(found, arguments.limit)


def _print(found: Prediction, limit: int) -> None:
    from stitchable.cli.display import console, table
    from stitchable.prediction.predict import describe

    rows = sorted(found.rows, key=lambda row: -row.predicted)
    cells = [
        [row.stitch, f"{row.predicted:.2f} %", "" if row.measured is None else f"{row.measured:.2f} %"]
        for row in rows[: max(limit, 0)]
    ]
    table(["stitch", "predicted", "measured"], cells, right=(1, 2))
    if len(rows) > len(cells):
        console.print(f"… and {len(rows) - len(cells):,} more (--limit N, or --format json for all)")
    console.print()
    singles = [
        [name, *(str(each) for each in (alone.spearman, alone.kendall))] if alone else [name, "constant", ""]
        for name, alone in found.single.items()
    ]
    table(["feature alone", "Spearman", "Kendall"], singles)
    for line in describe(found):
        console.print(line)
