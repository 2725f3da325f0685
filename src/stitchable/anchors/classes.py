"""An anchor for a user's own classes: a new classifier, and another input size where asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.source import TimmSource
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec


def with_classes(
    anchor: Anchor, classes: Sequence[str], *, input_spec: InputSpec | None = None, seed: int = 0
) -> Anchor:
    """The anchor with a fresh classifier for ``classes``; all other weights are kept.

    Where the anchor tells these very classes apart already, its classifier is kept too. The position
    embedding of a ViT is resampled to another input size, as timm does it.

    Args:
        anchor: Its model is taken over and changed; do not use it afterwards.
        classes: Their names, in the order of the logits.
        input_spec: Images it shall expect; as before where left out.
        seed: Of the fresh classifier.

    Returns:
        An anchor that says how it is built again, as the one given did.

    Raises:
        StitchError: It is no timm model and has another number of classes, or timm cannot build the model
            with so many classes or at this size.
    """
    spec, source = input_spec or anchor.input_spec, anchor.source
    if not isinstance(source, TimmSource):
        if anchor.class_count != len(classes):
            raise StitchError(
                f"{anchor.name} tells {anchor.class_count} classes apart, the images have {len(classes)}. "
                "Only timm models get a new classifier; build your own model with that many classes."
            )
        return Anchor(
            anchor.model, anchor.split, name=anchor.name, input_spec=spec, classes=classes, source=source
        )
    model: Any = anchor.model
    if anchor.classes != tuple(classes):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model.reset_classifier(len(classes))
        source = TimmSource(source.model, {**source.arguments, "num_classes": len(classes)})
    if spec.size[1:] != anchor.input_spec.size[1:] and hasattr(model, "set_input_size"):
        model.set_input_size(img_size=spec.size[1:])
        source = TimmSource(source.model, {**source.arguments, "img_size": list(spec.size[1:])})
    _check_source(anchor.name, source, model)
    return anchor_from_module(model, name=anchor.name, input_spec=spec, classes=classes, source=source).eval()


def input_for(
    anchor: Anchor,
    *,
    size: int | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    crop_pct: float | None = None,
) -> InputSpec:
    """The images an anchor expects, with some of it changed.

    Args:
        anchor: Its own spec gives what is left out.
        size: Rows and columns, in pixels.
        mean: Per channel, or one number for all of them.
        std: Likewise.
        crop_pct: See `InputSpec`.

    Raises:
        StitchError: See `InputSpec`.
    """
    spec = anchor.input_spec
    channels = spec.size[0]

    def per_channel(values: float | Sequence[float] | None, own: tuple[float, ...]) -> tuple[float, ...]:
        if values is None:
            return own
        return (float(values),) * channels if isinstance(values, (int, float)) else tuple(values)

    return replace(
        spec,
        size=spec.size if size is None else (channels, size, size),
        mean=per_channel(mean, spec.mean),
        std=per_channel(std, spec.std),
        crop_pct=spec.crop_pct if crop_pct is None else crop_pct,
    )


def classifier_parameters(anchor: Anchor) -> frozenset[str]:
    """Names, in the anchor's model, of its classifier's parameters; of its head's, if it is no timm model."""
    model: Any = anchor.model
    if not isinstance(anchor.source, TimmSource):
        used = anchor.split.head.uses
        return frozenset(
            name
            for name, _ in model.named_parameters()
            if any(name == each or name.startswith(f"{each}.") for each in used)
        )
    given = model.get_classifier()  # two of them in distilled models
    heads = given if isinstance(given, tuple) else (given,)
    own = {id(parameter) for head in heads for parameter in head.parameters()}
    return frozenset(name for name, parameter in model.named_parameters() if id(parameter) in own)


def _check_source(name: str, source: TimmSource, model: nn.Module) -> None:
    """Make sure, before hours of training, that what is saved will fit what is built from it."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        twin = source.build().state_dict()
    own = model.state_dict()
    wrong = [key for key in own.keys() | twin.keys() if _shape(own, key) != _shape(twin, key)]
    if wrong:
        raise StitchError(
            f"{name}: timm's {source.model} {dict(source.arguments)} has another {min(wrong)} than the model "
            "to be trained. Leave the input size as it is, or describe the model in a file of your own."
        )


def _shape(state: dict[str, torch.Tensor], key: str) -> tuple[int, ...] | None:
    return tuple(state[key].shape) if key in state else None
