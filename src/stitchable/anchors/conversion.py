"""Images made for one anchor, as another one takes them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stitchable.input_spec import InputSpec


def convert_images(x: Tensor, given: InputSpec, wanted: InputSpec) -> Tensor:
    """Bring a batch from one input spec to another.

    The normalisation is replaced exactly. The size is changed by bilinear interpolation, with smoothing
    where it shrinks; another crop of the photo cannot be undone.

    Args:
        x: Images ``(batch, *given.size)``, normalised as ``given`` says.
        given: What they are.
        wanted: What they are to be; equally many channels.

    Returns:
        Images ``(batch, *wanted.size)``.
    """
    if (given.mean, given.std) != (wanted.mean, wanted.std):
        scale = [a / b for a, b in zip(given.std, wanted.std, strict=True)]
        shift = [(a - b) / std for a, b, std in zip(given.mean, wanted.mean, wanted.std, strict=True)]
        x = x * x.new_tensor(scale)[:, None, None] + x.new_tensor(shift)[:, None, None]
    if given.size != wanted.size:
        x = F.interpolate(x, wanted.size[1:], mode="bilinear", align_corners=False, antialias=True)
    return x
