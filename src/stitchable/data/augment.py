"""Names of the augmentations; `stitchable.data.transforms` does them."""

from __future__ import annotations

from typing import Literal

Augment = Literal["none", "flip", "crop", "crop_flip", "rand_augment"]
