"""The registry of architecture families: the one place where new kinds of models come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from torch import nn

from stitchable.anchors.split import Split


@dataclass(frozen=True)
class Family:
    """An architecture family.

    Attributes:
        name: Short name, such as ``"plain ViT"``.
        library: Where its classes come from.
        granularity: What one block is, in words.
        classes: Full names of the model classes it splits, exactly these: a subclass may compute something
            else. Names, so that asking for a family imports no library.
        split: From a model of these classes to its split; raises `StitchError` for a model it must
            refuse, with the reason.
        unsupported: What of these classes it refuses and why, for the table in the documentation; empty if
            nothing.
    """

    name: str
    library: str
    granularity: str
    classes: tuple[str, ...]
    split: Callable[[nn.Module], Split]
    unsupported: str = ""


@cache
def families() -> tuple[Family, ...]:
    """All families, in the order in which they are asked."""
    from stitchable.anchors import hf_families, timm_families, torchvision_families

    return (*timm_families.FAMILIES, *torchvision_families.FAMILIES, *hf_families.FAMILIES)


def family_of(model: nn.Module) -> Family | None:
    """The family that splits ``model``; ``None`` if no family knows its class."""
    name = f"{type(model).__module__}.{type(model).__qualname__}"
    return next((family for family in families() if name in family.classes), None)
