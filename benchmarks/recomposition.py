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
from torch import nn

from record import machine, write
from stitchable.anchors.anchor import Anchor
from stitchable.anchors.check import check_anchor
from stitchable.anchors.hf_source import HfSource
from stitchable.anchors.load import anchor_from_timm, anchor_from_torchvision
from stitchable.anchors.module import anchor_from_module
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

MODELS = Path(__file__).with_name("recomposition_models.yaml")


Row = Mapping[str, Any]


def from_timm(row: Row, images: InputSpec) -> Anchor:
    """Anchor of a row of timm."""
    return anchor_from_timm(row["model"], arguments=row.get("arguments"), input_spec=images)


def from_torchvision(row: Row, images: InputSpec) -> Anchor:
    """Anchor of a row of torchvision."""
    return anchor_from_torchvision(row["model"], arguments=row.get("arguments"), input_spec=images)


def from_transformers(row: Row, images: InputSpec) -> Anchor:
    """Anchor of a row of transformers; its arguments are its configuration's."""
    import transformers

    config = getattr(transformers, row["model"].replace("ForImageClassification", "Config"))
    model = getattr(transformers, row["model"])(config(image_size=row["size"], **row.get("arguments", {})))
    return anchor_from_module(model, name=row["model"], input_spec=images, source=HfSource.of(model)).eval()


BUILDERS: dict[str, Callable[[Row, InputSpec], Anchor]] = {
    "timm": from_timm,
    "torchvision": from_torchvision,
    "transformers": from_transformers,
}


def rows() -> list[Row]:
    """The table of models."""
    table: list[Row] = yaml.safe_load(MODELS.read_text(encoding="utf-8"))
    return table


def build(row: Row) -> Anchor:
    """Anchor of a row, with random weights, also where the library starts with a classifier of zeros."""
    size = row["size"]
    torch.manual_seed(0)
    anchor = BUILDERS[row["library"]](row, InputSpec((3, size, size), (0.5,) * 3, (0.5,) * 3))
    for layer in anchor.model.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            nn.init.normal_(layer.weight, std=0.02)  # any two models with zeros there are equal
    return anchor


def recompose(row: Row) -> dict[str, Any]:
    """Build one row's model, cut it, put it together again and compare."""
    anchor, size = build(row), row["size"]
    images = torch.randn((2, 3, size, size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = anchor.model(images)
        difference = float((anchor(images) - getattr(theirs, "logits", theirs)).abs().max())
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
        "split_by": anchor.split.by,
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
        "| library | split by | model | input | blocks | stages | cuts | largest difference | equal |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        changed = ", ".join(f"{key}={value}" for key, value in row["arguments"].items() if key != "img_size")
        cells = [
            row["library"],
            row["split_by"],
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
    done = []
    for row in rows():
        if options.library in (None, row["library"]):
            done.append(recompose(row))
            print(f"{done[-1]['model']}: {'equal' if done[-1]['equal'] else done[-1]['problem']}", flush=True)
    write(options.out, {"machine": machine(), "models": done})
    options.out.with_suffix(".md").write_text(markdown(done), encoding="utf-8")


if __name__ == "__main__":
    main()
