"""What a fit chose, in words."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from stitchable.initialization.held_out import HeldOutFit
from stitchable.runs.config import FitConfig
from stitchable.runs.correction import ClassifierFit


def describe_choice(made: HeldOutFit, options: FitConfig) -> list[str]:
    """Lines on the number of images and the ridges, where these were chosen."""
    lines = []
    if options.images == "auto":
        steps = ", ".join(f"{r2:.4f} with {images:,}" for images, r2 in made.grown)
        ending = (
            "more would not help"
            if made.enough
            else f"the images, or fit.images_limit ({options.images_limit:,}), ended before more did not help"
        )
        lines.append(f"Mean R² on held-out images, by the number fitted to: {steps}; {ending}.")
    if options.ridge == "auto" and made.layers:
        ridges = [layer.ridge for layer in made.layers]
        found = [layer.held_out_r2 for layer in made.layers if layer.held_out_r2 is not None]
        lines.append(
            f"Ridges chosen on held-out images: {min(ridges):.2g} to {max(ridges):.2g}, median "
            f"{median(ridges):.2g}; held-out R² {min(found):.3f} to {max(found):.3f}, median "
            f"{median(found):.3f}."
        )
    return lines


def describe_correction(classifiers: Sequence[ClassifierFit]) -> str:
    """A line on the joints' own classifiers."""
    shares = [100 * each.held_out_r2 for each in classifiers]
    return (
        f"{len(classifiers)} joints have classifiers of their own; on held-out images these take away "
        f"{min(shares):.0f} to {max(shares):.0f} % (median {median(shares):.0f} %) of what the logits lack."
    )
