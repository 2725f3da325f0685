"""The images that an anchor expects: size and normalisation. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from stitchable.errors import StitchError


@dataclass(frozen=True)
class InputSpec:
    """Size and normalisation of the images an anchor was trained on.

    Attributes:
        size: Channels, rows, columns.
        mean: Subtracted from pixels in [0, 1], one number per channel.
        std: Divided by afterwards, one number per channel.
        interpolation: Name of the resampling filter for images of another size.
        crop_pct: Share of the resized image's short side that the centre crop keeps, in (0, 1].
    """

    size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_pct: float = 1.0

    def __post_init__(self) -> None:
        if len(self.size) != 3 or min(self.size) < 1:
            raise StitchError(f"Input size {self.size} is not (channels, rows, columns), all at least 1.")
        if len(self.mean) != self.size[0] or len(self.std) != self.size[0] or min(self.std) <= 0:
            raise StitchError(
                f"Mean {self.mean} and std {self.std} must have one number for each of the {self.size[0]} "
                "channels, and std must be positive."
            )
        if not 0 < self.crop_pct <= 1:
            raise StitchError(f"crop_pct is a share of the image in (0, 1]; got {self.crop_pct}.")

    def mismatch(self, other: InputSpec) -> str | None:
        """Why two anchors cannot take the same batch; ``None`` if they can.

        Interpolation and crop are habits of evaluation, not of the batch, and may differ.
        """
        if self.size != other.size:
            return f"input size {'×'.join(map(str, self.size))} is not {'×'.join(map(str, other.size))}"
        if self.mean != other.mean or self.std != other.std:
            return f"normalisation mean {self.mean}, std {self.std} is not mean {other.mean}, std {other.std}"
        return None
