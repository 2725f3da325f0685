"""What images an anchor takes: size, normalisation, resampling. No tensors here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stitchable.errors import StitchError, nearest

INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos")

# Pixel values lie in [0, 1] here, so this is a fortieth of a grey level: a rounding, not another choice.
_SAME = 1e-4


@dataclass(frozen=True)
class InputSpec:
    """Size and normalisation of the images that a model was trained with.

    Sequences are turned into tuples, so that a spec read back from JSON equals the one written.

    Attributes:
        size: Channels, rows and columns, in pixels.
        mean: Per channel, subtracted from pixel values in [0, 1].
        std: Per channel, positive; the difference is divided by it.
        interpolation: Filter for resizing, one of `INTERPOLATIONS`.
        crop_pct: Share of the resized image that the centre crop keeps along each side. As in timm, the
            image is first resized to ``floor(side / crop_pct)``; above 1 the crop is padded with black.

    Raises:
        StitchError: A length, a sign or a name is wrong; the message says which.
    """

    size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_pct: float = 1.0

    def __post_init__(self) -> None:
        for name in ("size", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.size) != 3 or min(self.size) < 1:
            raise StitchError(
                f"Input size {self.size} is not three positive numbers. "
                "Give channels, rows and columns, such as (3, 224, 224)."
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.size[0]:
                raise StitchError(
                    f"Input {name} has {len(values)} values for {self.size[0]} channels. Give one for each."
                )
        if not all(math.isfinite(value) for value in self.mean):
            raise StitchError(f"Input mean {_slashes(self.mean)} is not finite. Give pixel values in [0, 1].")
        if not all(math.isfinite(value) and value > 0 for value in self.std):
            raise StitchError(f"Input std {_slashes(self.std)} is not positive. Every channel divides by it.")
        if self.interpolation not in INTERPOLATIONS:
            raise StitchError(
                f"Unknown interpolation {self.interpolation!r}. {nearest(self.interpolation, INTERPOLATIONS)}"
            )
        if not (math.isfinite(self.crop_pct) and self.crop_pct > 0):
            raise StitchError(f"crop_pct {self.crop_pct} is not positive. Give a share such as 0.875 or 1.0.")

    def mismatch(self, other: InputSpec) -> str | None:
        """Why two anchors cannot take the same images; ``None`` if they can.

        Interpolation and ``crop_pct`` are no mismatch: they change how an image is cut from a photo, not
        what the numbers in the tensor mean. Normalisations within 1e-4 of each other count as equal.

        Example:
            >>> half = InputSpec((3, 32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
            >>> half.mismatch(InputSpec((3, 64, 64), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
            'input size 3×32×32 is not 3×64×64'
        """
        if self.size != other.size:
            return f"input size {_times(self.size)} is not {_times(other.size)}"
        for name, ours, theirs in (("mean", self.mean, other.mean), ("std", self.std, other.std)):
            if any(abs(a - b) > _SAME for a, b in zip(ours, theirs, strict=True)):
                return f"input {name} {_slashes(ours)} is not {_slashes(theirs)}"
        return None


def _times(size: Sequence[int]) -> str:
    return "×".join(str(side) for side in size)


def _slashes(values: Sequence[float]) -> str:
    return "/".join(f"{value:.4g}" for value in values)
