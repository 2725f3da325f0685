"""An anchor in plain data, for people and for programs."""

from __future__ import annotations

from typing import Any

from stitchable.anchors.anchor import Anchor
from stitchable.cost.parts import PartCost, total
from stitchable.feature import FeatureSpec


def describe_anchor(anchor: Anchor) -> dict[str, Any]:
    """Blocks, features and costs of an anchor.

    Returns:
        JSON-ready: ``name``, ``model`` (class name), ``split_by``, ``input``, ``classes``, ``macs``,
        ``params``, ``stages`` (blocks per stage), and ``parts``: stem, blocks and head in order, each
        with ``part``, ``stage``, ``macs``, ``params`` and, but for the head, the ``feature`` behind it.
    """
    outline = anchor.outline
    costs = [outline.stem, *outline.blocks, outline.head]
    names = ["stem", *(f"block {index}" for index in range(anchor.depth)), "head"]
    stages = [None, *outline.stages, None]
    features = [*outline.features, None]
    return {
        "name": anchor.name,
        "model": type(anchor.model).__name__,
        "split_by": anchor.split.by,
        "input": {
            "size": list(anchor.input_spec.size),
            "mean": list(anchor.input_spec.mean),
            "std": list(anchor.input_spec.std),
        },
        "classes": anchor.class_count,
        "macs": outline.cost.macs,
        "params": outline.cost.params,
        "stages": [len(outline.stage_blocks(stage)) for stage in range(outline.stage_count)],
        "parts": [
            _part(name, stage, cost, feature)
            for name, stage, cost, feature in zip(names, stages, costs, features, strict=True)
        ],
    }


def _part(name: str, stage: int | None, cost: PartCost, feature: FeatureSpec | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"part": name, "stage": stage, "macs": cost.macs, "params": total([cost]).params}
    if feature is not None:
        entry["feature"] = {
            "kind": feature.kind,
            "width": feature.width,
            "grid": list(feature.grid),
            "prefix_tokens": feature.prefix_tokens,
            "channels_last": feature.channels_last,
        }
    return entry
