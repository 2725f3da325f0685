"""``stitchable info``: what is here."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.cli.arguments import command_parser, parse

_PACKAGES = ("torch", "torchvision", "timm", "transformers", "safetensors", "datasets", "scikit-learn")


def run(words: Sequence[str]) -> None:
    """Print versions, devices and families."""
    parse(command_parser("info", "Versions, devices and the families of models that can be stitched."), words)

    import importlib.metadata
    import platform

    import torch

    from stitchable import __version__
    from stitchable.device import choose_device

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    print(f"stitchable {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in _PACKAGES:
        print(f"  {package:<14}{version(package)}")
    print(f"device     {choose_device()} ({torch.get_num_threads()} threads)")
    _print_families()


def _print_families() -> None:
    from stitchable.anchors.registry import families

    known = families()
    for library in dict.fromkeys(family.library for family in known):
        print(f"families of {library}")
        for family in known:
            if family.library == library:
                classes = [cls.rpartition(".")[2] for cls in family.classes]
                print(f"  {family.name:<18}a block is {family.granularity}")
                print(f"  {'':<18}{', '.join(classes)}")
    print("any other model is split by its traced graph where that can be done: see 'stitchable inspect'")
