"""Operations on the pixels of a whole batch at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stitchable.input_spec import InputSpec


def normalise(images: Tensor, spec: InputSpec) -> Tensor:
    """``(x / 255 − mean) / std`` in float32; float images, already in [0, 1], are not divided by 255.

    Args:
        images: Shape ``(…, channels, rows, columns)``; uint8 or float32. Not changed.
        spec: Whose ``mean`` and ``std``, one per channel.

    Returns:
        The same shape, float32.
    """
    mean = torch.tensor(spec.mean, dtype=torch.float32).view(-1, 1, 1)
    std = torch.tensor(spec.std, dtype=torch.float32).view(-1, 1, 1)
    pixels = images if images.is_floating_point() else images.to(torch.float32).div_(255)
    return pixels.sub(mean).div_(std)


def shift_and_mirror(images: Tensor, draws: Tensor, *, pad: int, mirror: bool) -> Tensor:
    """Shift every image by its own offset and mirror half of them; one gather for the whole batch.

    Args:
        images: Shape ``(N, channels, rows, columns)``, any dtype.
        draws: Shape ``(N, 3)``, uniform in [0, 1): row offset, column offset, mirror where below one half.
        pad: Black pixels put around the image, of which each offset uncovers 0 to ``2 · pad``.
        mirror: Whether the third draw is heeded.

    Returns:
        The shape and dtype of ``images``.
    """
    count, channels, rows, columns = images.shape
    offset = (draws[:, :2] * (2 * pad + 1)).long().clamp_(max=2 * pad)
    row = offset[:, :1] + torch.arange(rows)
    column = offset[:, 1:] + torch.arange(columns)
    if mirror:
        column = torch.where(draws[:, 2:] < 0.5, column.flip(1), column)
    place = row[:, :, None] * (columns + 2 * pad) + column[:, None, :]
    place = place.view(count, 1, rows * columns).expand(count, channels, -1)
    return F.pad(images, [pad] * 4).flatten(2).gather(2, place).view(images.shape)
