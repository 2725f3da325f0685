"""From the name of a library to its tracker; the library is imported here for the first time."""

from __future__ import annotations

import importlib

from stitchable.errors import StitchError
from stitchable.tracking.mlflow import MlflowTracker
from stitchable.tracking.tensorboard import TensorBoardTracker
from stitchable.tracking.tracker import Tracker
from stitchable.tracking.trackio import TrackioTracker
from stitchable.tracking.wandb import WandbTracker

TRACKERS: dict[str, type[Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
    "trackio": TrackioTracker,
    "mlflow": MlflowTracker,
}


def open_tracker(library: str) -> Tracker:
    """Tracker of a library.

    Args:
        library: One of `stitchable.tracking.options.LIBRARIES`.

    Raises:
        StitchError: It is not installed.
    """
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise StitchError(
            f"Tracking with {library} needs a package that is not installed ({error}). "
            f"Run: pip install 'stitchable[{library}]'"
        ) from error
    return TRACKERS[library]()
