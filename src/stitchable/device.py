"""Where tensors live."""

from __future__ import annotations

import torch

from stitchable.errors import StitchError


def sums_device(device: torch.device) -> torch.device:
    """Where float64 sums over features of ``device`` are kept: MPS has no float64, the CPU has."""
    return torch.device("cpu") if device.type == "mps" else device


def choose_device(name: str = "auto") -> torch.device:
    """The device called ``name``.

    Args:
        name: ``"auto"`` takes CUDA, then MPS, then the CPU; else a torch device such as ``"cuda:1"``.

    Raises:
        StitchError: Torch does not know the name, or the machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()  # the meta device holds no numbers
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise StitchError(
            f"No device {name!r} here ({reason}). Use 'auto', 'cpu', 'cuda' or 'mps'."
        ) from None
    return device
