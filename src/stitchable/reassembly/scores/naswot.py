"""NASWOT: how differently a network's activations switch for different images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stitchable.errors import StitchError
from stitchable.modes import evaluating
from stitchable.reassembly.scores.signs import ActivationSigns


@torch.no_grad()
def naswot(module: nn.Module, batches: Sequence[Tensor]) -> float:
    """Log-determinant of the kernel of activation signs, mean over the batches.

    The kernel of two images is the number of units whose inputs have the same sign for both:
    ``K_ij = units − hamming(c_i, c_j)``. Units are those of the functions in `signs.ACTIVATIONS`; for smooth
    ones, such as GELU and SiLU, the sign of the input stands for on and off, as it does for ReLU.

    Args:
        module: Run in eval mode; nothing of it changes.
        batches: Normalised images ``(batch, channels, rows, columns)``; five batches of 32 in the papers.

    Returns:
        More is better; −∞ where two images switch everything alike. Grows with the logarithm of the number
        of units, and is comparable for batches of one size.

    Raises:
        StitchError: No images came, or the module has no such activation.

    Source: Mellor, Turner, Storkey and Crowley 2021.
    """
    if not batches:
        raise StitchError("NASWOT saw no images. Give at least one batch.")
    with evaluating(module):
        return sum(_log_determinant(sign_kernel(module, images)) for images in batches) / len(batches)


def sign_kernel(module: nn.Module, images: Tensor) -> Tensor:
    """How many units each two images switch alike, float64 ``(batch, batch)``.

    Args:
        module: Run in the mode it is in.
        images: Normalised, ``(batch, channels, rows, columns)``.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def take(signs: Tensor) -> None:
        # Ones and minus ones: their product counts what is alike, less what is not. Exact below 2²⁴ units.
        signed = signs.float() * 2 - 1
        kernel.add_(((signed @ signed.T).double().cpu() + signs.shape[1]) / 2)

    with ActivationSigns(len(images), take):
        module(images)
    if not kernel.any():
        raise StitchError(
            "NASWOT found no activation such as ReLU or GELU, and there is nothing to compare. "
            "Take another score."
        )
    return kernel


def _log_determinant(kernel: Tensor) -> float:
    sign, value = torch.linalg.slogdet(kernel)
    return float(value) if sign > 0 else float("-inf")
