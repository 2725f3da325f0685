"""Handwritten digits of 8×8 pixels, read from scikit-learn: nothing is downloaded."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from stitchable.errors import StitchError, nearest

Split = Literal["train", "val"]
TRAIN_IMAGES = 1000  # of 1,797; the other 797 are held out
_SPLIT_SEED = 0


def digits(split: Split) -> tuple[Tensor, Tensor]:
    """Images and labels of one half of the fixed split.

    Args:
        split: ``"train"`` for 1,000 images, ``"val"`` for the 797 held out.

    Returns:
        Images of shape ``(N, 1, 8, 8)``, float32 in [0, 1] (ink, as counts of 0 to 16 divided by 16),
        and labels of shape ``(N,)``, int64 from 0 to 9. Row ``i`` is image ``digit_indices(split)[i]``
        of the source.

    Raises:
        StitchError: scikit-learn is missing, or ``split`` is neither word.

    Source: Optical Recognition of Handwritten Digits, test part (Alpaydin and Kaynak 1998, UCI Machine
    Learning Repository), as scikit-learn's ``load_digits`` carries it.

    Example:
        >>> images, labels = digits("val")
        >>> tuple(images.shape), labels.dtype
        ((797, 1, 8, 8), torch.int64)
    """
    source = _load()
    rows = digit_indices(split)
    images = torch.from_numpy(source.images).to(torch.float32).div(16).unsqueeze(1)
    labels = torch.from_numpy(source.target).to(torch.int64)
    return images[rows], labels[rows]


def digit_indices(split: Split) -> Tensor:
    """Which images of the source make up one half of the split.

    Args:
        split: ``"train"`` or ``"val"``.

    Returns:
        Positions in the order of ``load_digits``, shape ``(N,)``, int64, shuffled once for all. The two
        halves share none and together hold every image; each digit keeps its share in both.

    Raises:
        StitchError: scikit-learn is missing, or ``split`` is neither word.
    """
    if split not in get_args(Split):
        raise StitchError(f"unknown split {split!r} of the digits. {nearest(str(split), get_args(Split))}")
    target = _load().target
    from sklearn.model_selection import train_test_split

    train, val = train_test_split(
        range(len(target)), train_size=TRAIN_IMAGES, random_state=_SPLIT_SEED, stratify=target
    )
    return torch.tensor(train if split == "train" else val, dtype=torch.int64)


def _load() -> Any:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise StitchError(
            "the digits come with scikit-learn, which is not installed. Run: pip install 'stitchable[demo]'"
        ) from error
    return load_digits()
