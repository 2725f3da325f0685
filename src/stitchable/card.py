"""The card: the README of a saved folder, so that it can be understood without us."""

from __future__ import annotations

from pathlib import Path

from stitchable.anchors.anchor import Anchor
from stitchable.cost.macs import CONVENTION
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch


def write_card(
    folder: Path,
    space: StitchingSpace,
    anchor: Anchor,
    *,
    stitch: Stitch | None = None,
    calibration_images: int | None = None,
    owned: tuple[str, int] | None = None,
) -> None:
    """Write ``README.md`` into a saved folder.

    Args:
        folder: Where ``config.json`` and ``model.safetensors`` lie.
        space: The space of what was saved.
        anchor: An anchor that holds its head; they all take the same images and have the same classes.
        stitch: The stitch, where only one was saved.
        calibration_images: Number of images on which its BatchNorm statistics were adjusted.
        owned: What the joints have of their own, and how many params that are in all.
    """
    spec = anchor.input_spec
    names = ", ".join(space.outlines)
    if stitch is None:
        title = f"Stitched network of {names}"
        reader, call = "network import StitchedNetwork", "network(images, stitch)"
        what = f"{space.count:,} stitches in one network; the anchors among them:"
        rows = [outline.stitch for outline in space.outlines.values()]
    else:
        title = f"Stitch {stitch}"
        reader, call = "subnetwork import Subnetwork", "network(images)"
        what = f"One stitch, taken out of a network that joins {names}:"
        rows = [stitch]
    if calibration_images is not None:
        what = (
            f"The BatchNorm statistics behind the joints were adjusted on {calibration_images:,} "
            f"training images.\n\n{what}"
        )
    if owned:
        what = (
            f"Behind a joint the end anchor runs with {owned[0]} of this joint's own. They are {owned[1]:,} "
            f"params besides those of anchors and stitching layers; a stitch has no more for it.\n\n{what}"
        )
    table = "\n".join(f"| `{row}` | {space.cost(row).macs:,} | {space.cost(row).params:,} |" for row in rows)
    text = f"""---
library_name: stitchable
tags: [image-classification, model-stitching]
---
# {title}

{what}

| stitch | MACs | params |
|---|---|---|
{table}

{CONVENTION}

Input: {"×".join(map(str, spec.size))} images in [0, 1], normalised with mean {spec.mean} and
std {spec.std}. Output: {anchor.class_count} logits.

```python
from stitchable.{reader}

network = {reader.split()[-1]}.from_pretrained(folder)
logits = {call}
```
"""
    (folder / "README.md").write_text(text, encoding="utf-8")
