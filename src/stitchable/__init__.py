"""Stitchable neural networks: from a family of pretrained models to a menu of deployable ones.

The names below are loaded when they are first asked for, so that ``import stitchable`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stitchable.anchors.anchor import Anchor
    from stitchable.anchors.check import check_anchor
    from stitchable.anchors.hf_source import HfSource
    from stitchable.anchors.load import anchor_from_hf, anchor_from_timm, anchor_from_torchvision, load_anchor
    from stitchable.anchors.module import anchor_from_module
    from stitchable.anchors.source import TimmSource
    from stitchable.anchors.split import Part, Split, submodule
    from stitchable.anchors.store import save_anchor
    from stitchable.anchors.torchvision_source import TorchvisionSource
    from stitchable.errors import StitchError
    from stitchable.evaluation.curve import CurveRow, read_curve, write_curve
    from stitchable.evaluation.extract import extract_calibrated
    from stitchable.evaluation.sweep import sweep
    from stitchable.feature import FeatureSpec
    from stitchable.initialization.fit import fit_least_squares
    from stitchable.input_spec import InputSpec
    from stitchable.menu.pick import pick
    from stitchable.network import StitchedNetwork
    from stitchable.paths import run_paths
    from stitchable.space.build import SpaceOptions, build_space
    from stitchable.space.prune import prune
    from stitchable.space.space import StitchingSpace
    from stitchable.stitch import Stitch
    from stitchable.subnetwork import Subnetwork
    from stitchable.training.guard_options import GuardOptions
    from stitchable.training.loop import train
    from stitchable.training.objective_options import ObjectiveOptions
    from stitchable.training.options import TrainOptions
    from stitchable.training.samplers.build import build_sampler
    from stitchable.training.samplers.options import SamplerOptions
    from stitchable.training.samplers.sampler import Sampler
    from stitchable.training.samplers.uniform import UniformSampler

__version__ = "0.1.0"

__all__ = [
    "Anchor",
    "CurveRow",
    "FeatureSpec",
    "GuardOptions",
    "HfSource",
    "InputSpec",
    "ObjectiveOptions",
    "Part",
    "Sampler",
    "SamplerOptions",
    "SpaceOptions",
    "Split",
    "Stitch",
    "StitchError",
    "StitchedNetwork",
    "StitchingSpace",
    "Subnetwork",
    "TimmSource",
    "TorchvisionSource",
    "TrainOptions",
    "UniformSampler",
    "anchor_from_hf",
    "anchor_from_module",
    "anchor_from_timm",
    "anchor_from_torchvision",
    "build_sampler",
    "build_space",
    "check_anchor",
    "extract_calibrated",
    "fit_least_squares",
    "load_anchor",
    "pick",
    "prune",
    "read_curve",
    "run_paths",
    "save_anchor",
    "submodule",
    "sweep",
    "train",
    "write_curve",
]

_HOMES = {
    "anchors.anchor": ("Anchor",),
    "anchors.check": ("check_anchor",),
    "anchors.load": ("anchor_from_hf", "anchor_from_timm", "anchor_from_torchvision", "load_anchor"),
    "anchors.module": ("anchor_from_module",),
    "anchors.hf_source": ("HfSource",),
    "anchors.source": ("TimmSource",),
    "anchors.torchvision_source": ("TorchvisionSource",),
    "anchors.split": ("Part", "Split", "submodule"),
    "anchors.store": ("save_anchor",),
    "errors": ("StitchError",),
    "evaluation.curve": ("CurveRow", "read_curve", "write_curve"),
    "evaluation.extract": ("extract_calibrated",),
    "menu.pick": ("pick",),
    "evaluation.sweep": ("sweep",),
    "feature": ("FeatureSpec",),
    "initialization.fit": ("fit_least_squares",),
    "input_spec": ("InputSpec",),
    "network": ("StitchedNetwork",),
    "paths": ("run_paths",),
    "space.build": ("SpaceOptions", "build_space"),
    "space.prune": ("prune",),
    "space.space": ("StitchingSpace",),
    "stitch": ("Stitch",),
    "subnetwork": ("Subnetwork",),
    "training.guard_options": ("GuardOptions",),
    "training.loop": ("train",),
    "training.objective_options": ("ObjectiveOptions",),
    "training.options": ("TrainOptions",),
    "training.samplers.build": ("build_sampler",),
    "training.samplers.options": ("SamplerOptions",),
    "training.samplers.sampler": ("Sampler",),
    "training.samplers.uniform": ("UniformSampler",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'stitchable' has no attribute {name!r}")
    home = f"stitchable.{_HOME_OF[name]}"
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
