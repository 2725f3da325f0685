"""The registry of architecture families: the one place where new kinds of models come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from torch import nn

from stitchable.anchors.split import Split
from stitchable.errors import StitchError


@dataclass(frozen=True)
class Family:
    """An architecture family.

    Attributes:
        name: Short name, such as ``"plain ViT"``.
        library: Where its classes come from.
        granularity: What one block is, in words.
        classes: The model classes it splits, exactly these: a subclass may compute something else.
        split: From a model of these classes to its split; raises `StitchError` for a model it must
            refuse, with the reason.
    """

    name: str
    library: str
    granularity: str
    classes: tuple[type[nn.Module], ...]
    split: Callable[[nn.Module], Split]


@cache
def families() -> tuple[Family, ...]:
    """All families, in the order in which they are asked."""
    from stitchable.anchors import regnet, resnet, vit

    return (vit.FAMILY, resnet.FAMILY, regnet.FAMILY)


def family_of(model: nn.Module) -> Family:
    """The family that splits ``model``.

    Raises:
        StitchError: No family knows the model's class.
    """
    for family in families():
        if type(model) in family.classes:
            return family
    known = ", ".join(sorted({cls.__name__ for family in families() for cls in family.classes}))
    raise StitchError(
        f"No family splits models of class {type(model).__name__}; known classes: {known}. "
        "Describe it yourself in a few lines: see 'Your own architecture' in the README."
    )
