"""Which layer of an anchor gives its logits."""

from __future__ import annotations

from torch import nn

from stitchable.anchors.anchor import Anchor


def linear_classifier(anchor: Anchor) -> str | None:
    """Dotted name, in the anchor's model, of the linear layer with a bias that its head ends in.

    Told by its width: the only such layer of the head with as many outputs as there are classes.

    Returns:
        ``None`` where no layer or more than one is so, as in models distilled with two heads, or where the
        classifier is a convolution.

    Example:
        >>> from stitchable.anchors.load import anchor_from_timm
        >>> linear_classifier(anchor_from_timm("resnet18", arguments={"num_classes": 10}))
        'fc'
    """
    found = [
        name
        for name, module in anchor.model.named_modules()
        if isinstance(module, nn.Linear)
        and module.bias is not None
        and module.out_features == anchor.class_count
        and anchor.split.head.reads(f"{name}.weight")
    ]
    return found[0] if len(found) == 1 else None
