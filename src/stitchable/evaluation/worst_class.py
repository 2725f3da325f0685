"""The class that a stitch gets wrong most often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError


@dataclass(frozen=True)
class WorstClass:
    """The class with the lowest accuracy.

    Attributes:
        label: Its number.
        top1: Share of its images that are answered rightly, percent.
        images: How many images of it were seen.
    """

    label: int
    top1: float
    images: int


def worst_class(
    labels: NDArray[np.integer], right: NDArray[np.bool_], *, fewest_images: int = 10
) -> WorstClass | None:
    """The class with the lowest accuracy among those with enough images to tell.

    A class of two images is at 0 % sooner or later, which says nothing about it. Of classes that are equally
    bad, the one with most images is given, then the lowest number.

    Args:
        labels: Class of each image ``(images,)``.
        right: Whether the answer was right ``(images,)``.
        fewest_images: Classes with fewer are passed over.

    Returns:
        ``None`` where every class has too few images.

    Raises:
        StitchError: The shapes differ, or ``fewest_images`` is below 1.

    Example:
        >>> worst_class(np.array([0, 0, 1, 1, 2]), np.array([1, 1, 1, 0, 0], bool), fewest_images=2)
        WorstClass(label=1, top1=50.0, images=2)
    """
    if labels.shape != right.shape:
        raise StitchError(f"{labels.shape} labels and {right.shape} answers do not pair up.")
    if fewest_images < 1:
        raise StitchError(f"fewest_images is {fewest_images}. Give 1 or more.")
    classes, of_image, images = np.unique(labels, return_inverse=True, return_counts=True)
    shares = np.bincount(of_image, right, minlength=len(classes)) / np.maximum(images, 1)
    enough = [place for place in range(len(classes)) if images[place] >= fewest_images]
    if not enough:
        return None
    worst = min(enough, key=lambda place: (shares[place], -images[place], classes[place]))
    return WorstClass(int(classes[worst]), 100 * float(shares[worst]), int(images[worst]))
