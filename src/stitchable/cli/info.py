"""``stitchable info``: what is here."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.cli.arguments import command_parser, parse


def run(words: Sequence[str]) -> None:
    """Print versions, devices and families."""
    parse(command_parser("info", "Versions, devices and the families of models that can be stitched."), words)

    import importlib.metadata
    import platform

    import torch

    from stitchable import __version__
    from stitchable.anchors.registry import families
    from stitchable.device import choose_device

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    print(f"stitchable {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in ("torch", "torchvision", "timm", "safetensors", "datasets", "scikit-learn"):
        print(f"  {package:<14}{version(package)}")
    print(f"device     {choose_device()} ({torch.get_num_threads()} threads)")
    print("families")
    for family in families():
        classes = ", ".join(cls.rpartition(".")[2] for cls in family.classes)
        print(f"  {family.name:<12}{family.library}: {classes}; a block is {family.granularity}")
