"""Anchors from live modules: by their family, or else by their traced graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.fx.split import split_by_tracing
from stitchable.anchors.registry import family_of
from stitchable.anchors.source import Source
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec


def anchor_from_module(
    model: nn.Module,
    *,
    name: str,
    input_spec: InputSpec | None = None,
    classes: Sequence[str] | None = None,
    source: Source | None = None,
) -> Anchor:
    """Anchor of a live model, by its family or, if none knows its class, by its traced graph.

    Args:
        model: The model, with the weights it has; it is held, not copied.
        name: Name in stitch ids.
        input_spec: Images it expects; read from timm's ``pretrained_cfg`` where left out.
        classes: Class names in the order of the logits.
        source: How to build the architecture again; without it the anchor cannot be saved.

    Raises:
        StitchError: Its family refuses it, no family knows it and its graph cannot be cut, or its images
            are not known.
    """
    spec = input_spec or _timm_input(model)
    if spec is None:
        raise StitchError(f"{name}: the model does not say which images it expects. Pass input_spec.")
    family = family_of(model)
    # What a family refuses stays refused: it knows better than a graph.
    if family:
        split = replace(family.split(model), by=f"{family.name} of {family.library}")
    else:
        split = split_by_tracing(model, spec.size)
    return Anchor(model, split, name=name, input_spec=spec, classes=classes, source=source)


def _timm_input(model: nn.Module) -> InputSpec | None:
    record = getattr(model, "pretrained_cfg", None)
    if not record:
        return None
    size = tuple(record["input_size"])
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    channels = size[0] if first is None else first.in_channels
    for embed in (getattr(model, "patch_embed", None), getattr(model, "stem", None)):
        size = getattr(embed, "img_size", None) or size[-2:]  # patches are embedded for one size and no other
    size = (channels, *size)
    return InputSpec(
        size,
        _per_channel(record["mean"], channels),
        _per_channel(record["std"], channels),
        interpolation=record.get("interpolation", "bicubic"),
        crop_pct=record.get("crop_pct", 1.0),
    )


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    return tuple(values) if len(values) == channels else (sum(values) / len(values),) * channels
