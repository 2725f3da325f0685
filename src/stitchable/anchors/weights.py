"""Weight files: safetensors only, checked before anything is changed."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from stitchable.errors import StitchError


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a safetensors state dict; nothing is changed unless all of it fits.

    Raises:
        StitchError: The file is missing, not safetensors (pickles are never loaded), broken or
            truncated, or its names or shapes are not the model's.
    """
    state = read_tensors(path)
    own = model.state_dict()
    # BatchNorm's counter of batches came late to PyTorch; older files lack it and eval mode ignores it.
    counters = {key for key in own if key.endswith("num_batches_tracked")}
    # A parameter that has several names in the model is stored under one of them.
    given = {_place(own[key]) for key in own.keys() & state.keys()}
    tied = {key for key, tensor in own.items() if _place(tensor) in given}
    missing = sorted(own.keys() - state.keys() - counters - tied)
    unknown = sorted(state.keys() - own.keys())
    if missing or unknown:
        raise StitchError(
            f"{path} does not fit {type(model).__name__}: {len(missing)} tensors are missing"
            f"{f' ({missing[0]}, …)' if missing else ''} and {len(unknown)} are unknown"
            f"{f' ({unknown[0]}, …)' if unknown else ''}. Give the weights of this very architecture."
        )
    for key, tensor in state.items():
        if tensor.shape != own[key].shape:
            raise StitchError(
                f"{path}: {key} has shape {tuple(tensor.shape)}, the model's is {tuple(own[key].shape)}. "
                "Give the weights of this very architecture and number of classes."
            )
    model.load_state_dict(own | state)


def _place(tensor: torch.Tensor) -> tuple[int, torch.Size, tuple[int, ...]]:
    return tensor.data_ptr(), tensor.shape, tensor.stride()


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file.

    Raises:
        StitchError: The file is missing, of another format, broken or truncated.
    """
    if not path.is_file():
        raise StitchError(f"No weight file {path}.")
    if path.suffix in {".pt", ".pth", ".bin", ".pkl", ".ckpt"}:
        raise StitchError(
            f"{path} may hold a pickle, which can run code when read. Convert it to .safetensors first."
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise StitchError(
            f"{path} is not a whole safetensors file ({error}). Copy or download it again."
        ) from error
