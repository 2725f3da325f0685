"""VGGs of timm, with and without BatchNorm."""

from __future__ import annotations

from itertools import groupby

from timm.models.vgg import VGG
from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodules


def _head(model: VGG, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.features[-1](x))
    return out


def split(model: nn.Module) -> Split:
    """Split a VGG between its convolutions, each with its norm and activation.

    The first convolution is the stem. The first block of a stage holds the pooling before it; the last
    pooling belongs to the head.
    """
    assert isinstance(model, VGG)
    layers = list(enumerate(model.features[:-1]))
    # A run of layers begins with every convolution, or with the pooling in front of one.
    number = 0
    numbered = []
    for index, layer in layers:
        pooled = index > 0 and isinstance(model.features[index - 1], nn.MaxPool2d)
        number += isinstance(layer, nn.MaxPool2d) or (isinstance(layer, nn.Conv2d) and not pooled)
        numbered.append((number, index))
    runs = [[index for _, index in run] for _, run in groupby(numbered, key=lambda pair: pair[0])]
    stem, *blocks = [submodules(*(f"features.{index}" for index in run)) for run in runs]
    pools = [isinstance(model.features[run[0]], nn.MaxPool2d) for run in runs[1:]]
    stages = tuple(sum(pools[: index + 1]) for index in range(len(pools)))
    # VGG-11 pools right behind its first convolution: a stage that would be the stem alone is not counted.
    return Split(
        stem=stem,
        blocks=tuple(blocks),
        head=Part(_head, (f"features.{len(layers)}", "pre_logits", "head")),
        stages=tuple(stage - stages[0] for stage in stages),
    )


FAMILY = Family(
    name="VGG",
    library="timm",
    granularity="one convolution with its norm and activation; the first one is the stem",
    classes=("timm.models.vgg.VGG",),
    split=split,
)
