"""Which columns of a data set of ``datasets`` hold the images and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stitchable.errors import StitchError

IMAGE_COLUMNS = ("image", "img", "images", "picture", "photo")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "cls", "target", "coarse_label")


def image_and_label(features: Any, name: str) -> tuple[str, str]:
    """Names of the two columns.

    The image column is the one of feature type ``Image``, else one with a name in `IMAGE_COLUMNS` that
    holds bytes. The label column is the one of type ``ClassLabel``, else one with a name in
    `LABEL_COLUMNS`; where several fit, the order of those names decides.

    Args:
        features: ``datasets.Features``.
        name: What to call the data set in messages.

    Raises:
        StitchError: There is none for images, or for labels.
    """
    columns = ", ".join(features)
    image = _first(features, "Image", IMAGE_COLUMNS, _holds_bytes)
    if image is None:
        raise StitchError(
            f"{name} has no image column; its columns are {columns}. "
            f"Store encoded images in a column such as {IMAGE_COLUMNS[0]!r} of type Image."
        )
    label = _first(features, "ClassLabel", LABEL_COLUMNS, _is_whole)
    if label is None:
        raise StitchError(
            f"{name} has no label column; its columns are {columns}. "
            f"Store whole numbers in a column such as {LABEL_COLUMNS[0]!r} of type ClassLabel."
        )
    return image, label


def class_names(features: Any, label: str) -> Sequence[str] | None:
    """Class names by label, where the column's type says them."""
    names: Sequence[str] | None = getattr(features[label], "names", None)
    return names


def not_decoded(rows: Any, image: str) -> Any:
    """The same data set, whose image column gives encoded bytes."""
    from datasets import Image

    return rows.cast_column(image, Image(decode=False)) if _type(rows.features[image]) == "Image" else rows


def _first(features: Any, kind: str, names: Sequence[str], holds: Any) -> str | None:
    typed = [name for name, feature in features.items() if _type(feature) == kind]
    named = [name for name in names if name in features and holds(features[name])]
    return next((name for name in names if name in typed), None) or next(iter(typed + named), None)


def _type(feature: Any) -> str:
    return type(feature).__name__


def _holds_bytes(feature: Any) -> bool:
    if isinstance(feature, dict):
        return "bytes" in feature and "path" in feature
    return getattr(feature, "dtype", None) in ("binary", "large_binary")


def _is_whole(feature: Any) -> bool:
    return str(getattr(feature, "dtype", "")).startswith(("int", "uint"))
