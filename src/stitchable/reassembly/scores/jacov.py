"""Jacob_cov: how differently a network's outputs depend on different images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stitchable.errors import StitchError
from stitchable.modes import evaluating

SMALL = 1e-5
"""Added to eigenvalues, as in the papers' code."""


def jacov(module: nn.Module, batches: Sequence[Tensor]) -> float:
    """Minus the sum of ``log(λ + k) + 1 / (λ + k)``, mean over the batches.

    λ are the eigenvalues of the correlations between images of the gradient of the summed logits with respect
    to the image, k is `SMALL`. It is largest where all eigenvalues are 1: no two images are treated alike.

    Args:
        module: In eval mode; nothing of it changes.
        batches: Normalised images ``(batch, channels, rows, columns)``, two or more in each.

    Returns:
        More is better; at most minus the size of a batch, but for k.

    Raises:
        StitchError: No images came, a batch holds one, or a gradient does not vary over the image.

    Source: Mellor et al. 2020, the first version of their paper; Lopes et al. 2021; Abdelfattah et al. 2021.
    """
    if not batches or min(map(len, batches)) < 2:
        raise StitchError("The correlation of images needs batches of two or more.")
    with evaluating(module), torch.enable_grad():
        return sum(_score(image_gradients(module, images)) for images in batches) / len(batches)


def image_gradients(module: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """Gradient of each image's summed logits with respect to that image, ``(batch, values of an image)``."""
    inputs = images.detach().clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(module(inputs).sum(), inputs)
    found: NDArray[np.float64] = gradient.flatten(1).double().cpu().numpy()
    return found


def _score(gradients: NDArray[np.float64]) -> float:
    if not np.isfinite(gradients).all() or not gradients.std(axis=1).all():
        raise StitchError("A gradient is constant or not finite, so it correlates with nothing.")
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(gradients))
    shifted = np.maximum(eigenvalues, 0) + SMALL  # rounding may leave them below 0
    return -float(np.sum(np.log(shifted) + 1 / shifted))
