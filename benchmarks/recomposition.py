"""Is a model that was cut into stem, blocks and head still the model? `check_anchor` on every row of a table.

    python benchmarks/recomposition.py --out benchmarks/results/recomposition.json

writes the JSON file and a table in Markdown beside it. Weights are random: they prove structure.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from record import machine, write
from stitchable.anchors.anchor import Anchor
from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.anchors.registry import family_of
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

MODELS = Path(__file__).with_name("recomposition_models.yaml")


def from_timm(row: Mapping[str, Any], images: InputSpec) -> Anchor:
    """Anchor of a row of timm."""
    return anchor_from_timm(row["model"], arguments=row.get("arguments"), input_spec=images)


# One builder per library; another library adds its own and its rows.
BUILDERS: dict[str, Callable[[Mapping[str, Any], InputSpec], Anchor]] = {"timm": from_timm}


def recompose(row: Mapping[str, Any]) -> dict[str, Any]:
    """Build one row's model, cut it, put it together again and compare."""
    size = row["size"]
    anchor = BUILDERS[row["library"]](row, InputSpec((3, size, size), (0.5,) * 3, (0.5,) * 3))
    images = torch.randn((2, 3, size, size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = float((anchor(images) - anchor.model(images)).abs().max())
    try:
        check_anchor(anchor)
        problem = None
    except StitchError as error:
        problem = str(error)
    return {
        "library": row["library"],
        "model": row["model"],
        "arguments": row.get("arguments", {}),
        "size": size,
        "family": family_of(anchor.model).name,
        "params": anchor.outline.cost.params,
        "macs": anchor.outline.cost.macs,
        "blocks": anchor.depth,
        "stages": anchor.outline.stage_count,
        "cuts": len(anchor.features),
        "difference": difference,
        "equal": problem is None,
        "problem": problem,
    }


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        "| library | family | model | input | blocks | stages | cuts | largest difference | equal |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        changed = ", ".join(f"{key}={value}" for key, value in row["arguments"].items() if key != "img_size")
        cells = [
            row["library"],
            row["family"],
            f"{row['model']} ({changed})" if changed else row["model"],
            f"{row['size']}×{row['size']}",
            *(str(row[key]) for key in ("blocks", "stages", "cuts")),
            f"{row['difference']:g}",
            "yes" if row["equal"] else "no",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    equal = sum(row["equal"] for row in rows)
    return "\n".join([f"{equal} of {len(rows)} models equal bit for bit.", "", *lines, ""])


def main() -> None:
    """Run every row and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/recomposition.json"))
    parser.add_argument("--library", help="rows of one library alone")
    options = parser.parse_args()
    rows = []
    for row in yaml.safe_load(MODELS.read_text(encoding="utf-8")):
        if options.library in (None, row["library"]):
            rows.append(recompose(row))
            print(f"{rows[-1]['model']}: {'equal' if rows[-1]['equal'] else rows[-1]['problem']}", flush=True)
    write(options.out, {"machine": machine(), "models": rows})
    options.out.with_suffix(".md").write_text(markdown(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
