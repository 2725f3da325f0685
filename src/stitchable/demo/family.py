"""The family of digit transformers that comes with the package."""

from __future__ import annotations

import json
from importlib.resources import as_file, files

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.input_spec import InputSpec


def digit_anchors() -> list[Anchor]:
    """Three plain ViTs, 12, 24 and 64 wide and 6 blocks deep, trained on 1,000 handwritten digits.

    They take 8×8 grey images; ``examples/train_digit_vits.py`` made them.
    """
    folder = files("stitchable.demo") / "weights"
    anchors = []
    for entry in json.loads((folder / "family.json").read_text(encoding="utf-8")):
        with as_file(folder / f"{entry['name']}.safetensors") as weights:
            anchors.append(
                anchor_from_timm(
                    entry["model"],
                    name=entry["name"],
                    weights=weights,
                    arguments=entry["arguments"],
                    input_spec=InputSpec(**entry["input"]),
                    classes=[str(digit) for digit in range(10)],
                )
            )
    return anchors
