"""What ``stitchable inspect`` finds out: models, their doubts, what can be joined, and a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.check import check_anchor
from stitchable.anchors.describe import describe_anchor
from stitchable.anchors.doubts import doubts
from stitchable.anchors.load import load_anchor, read_anchor_text
from stitchable.errors import StitchError
from stitchable.network import check_compatible
from stitchable.runs.inputs import take_inputs_of
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.space import StitchingSpace


def inspect_models(
    texts: Sequence[str], *, inputs: str | None = None, trust_code: bool = False
) -> dict[str, Any]:
    """Load models, check them, and see what can be joined.

    Args:
        texts: See `stitchable.anchors.load.load_anchor`.
        inputs: Name of the anchor whose images all are to take.
        trust_code: Allow saved folders' own architecture files to run.

    Returns:
        JSON-ready: ``models``, each as `describe_anchor` gives it with ``recomposition_difference`` and
        ``doubts``; ``joints``, one entry per pair of anchors and stage; ``space`` with the counts, or with
        the ``reason`` why there is none; ``recipe``, YAML to begin with. The last three are ``None`` for a
        single model.

    Raises:
        StitchError: A model cannot be loaded or split, or fails its conformance check.
    """
    anchors = [load_anchor(text, trust_code=trust_code) for text in texts]
    models = []
    for text, anchor in zip(texts, anchors, strict=True):
        conformance = check_anchor(anchor)
        models.append(
            {
                **describe_anchor(anchor),
                "recomposition_difference": conformance.difference,
                "doubts": doubts(anchor, weights=_weights(text)),
            }
        )
    report: dict[str, Any] = {"models": models, "joints": None, "space": None, "recipe": None}
    if len(anchors) == 1:
        return report
    try:
        if inputs is not None:
            anchors = take_inputs_of(inputs, anchors)
        check_compatible(anchors)
        space = build_space([anchor.outline for anchor in anchors], SpaceOptions())
    except StitchError as error:
        return {**report, "space": {"reason": str(error)}}
    return {
        **report,
        "joints": _joints(space),
        "space": {"stitches": space.count, "layers": len(space.layers), "anchors": list(space.outlines)},
        "recipe": recipe(texts, anchors, inputs=inputs),
    }


def _weights(text: str) -> str | None:
    _, source, _, weights = read_anchor_text(text)
    if weights == "random":
        return None
    brings_its_own = "/" in source or source.startswith(("hf:", "."))
    return weights or (source if brings_its_own and ".py:" not in source else None)


def _joints(space: StitchingSpace) -> list[dict[str, Any]]:
    """Joints by pair of anchors and stage of the front, with what the adapters must change."""
    groups: dict[tuple[str, str, int], list[tuple[str, ...]]] = {}
    for joint in space.joints:
        stage = space.outlines[joint.front].stages[joint.leave - 1]
        front, end = space.features(joint)
        groups.setdefault((joint.front, joint.end, stage), []).append(front.differences(end))
    return [
        {
            "front": front,
            "end": end,
            "stage": stage,
            "joints": len(differences),
            "adapts": sorted({difference for each in differences for difference in each}),
        }
        for (front, end, stage), differences in groups.items()
    ]


def recipe(texts: Sequence[str], anchors: Sequence[Anchor], *, inputs: str | None) -> str:
    """YAML for ``stitchable fit --config``, with everything of these anchors filled in.

    The learning rates are those of the papers' settings for the kind of anchors.
    """
    tokens = all(anchor.features[-1].kind == "tokens" for anchor in anchors)
    sources = [text if "@" in text or _weights(text) else f"{text}@pretrained" for text in texts]
    lines = ["anchors:", *(f"- {source}" for source in sources)]
    if inputs is not None:
        lines.append(f"inputs: {inputs}        # all take its images, the others convert")
    lines += [
        "data:",
        "  train: path/to/train      # a folder of CLASS/image files, or a .parquet file",
        "  val: path/to/val",
        "fit:",
        "  images: 1000",
        "train:",
        "  epochs: 10",
        "  batch_size: 64",
        f"  lr: {'1.0e-5' if tokens else '1.0e-4'}",
        f"  layer_lr: {'1.0e-4' if tokens else '1.0e-3'}",
        "  augment: crop_flip",
    ]
    return "\n".join(lines) + "\n"
