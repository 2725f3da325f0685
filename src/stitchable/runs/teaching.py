"""What joint training needs besides images and stitches: a teacher, and images for the anchors' guard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.load import load_anchor
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.data.subset import set_aside
from stitchable.errors import StitchError, nearest
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.runs.config import DataConfig
from stitchable.runs.images import open_for
from stitchable.training.anchor_drop import HeldOut
from stitchable.training.guard_options import GuardOptions
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.objectives.terms import END_ANCHOR
from stitchable.training.options import TrainOptions


def load_teacher(
    network: StitchedNetwork, options: ObjectiveOptions, *, trust_code: bool = False
) -> Anchor | None:
    """The teacher that is no anchor of the network; ``None`` where an anchor teaches, or nobody.

    Args:
        network: Where the teacher is to be moved, and whose anchors need no loading.
        options: Their ``teacher``, see `stitchable.anchors.load.load_anchor`.
        trust_code: Allow a saved folder's own architecture file to run.

    Raises:
        StitchError: There is no such teacher, or it has no weights.
    """
    text, own = options.teacher, [*network.anchors, END_ANCHOR]
    if text is None or text in own:
        return None
    if not set(text) & set("@=:/.") and not Path(text).is_dir():
        raise StitchError(
            f"No teacher {text!r}. {nearest(text, own)} A model besides is written [name=]source@weights."
        )
    device = next(network.parameters()).device
    return load_anchor(text, need_weights=True, trust_code=trust_code).to(device)


def open_held_out(network: StitchedNetwork, data: DataConfig, options: TrainOptions) -> ImageSource | None:
    """The held-out images that the guard or the probe looks at; ``None`` where neither does.

    Raises:
        StitchError: None are named, they do not open, or they are not the anchors'.
    """
    guarded = options.guard.every > 0 and options.guard.split == "val"
    if guarded and not data.val:
        raise StitchError(
            "The anchors' guard measures on held-out images, and none are named. Give --data.val, or set "
            "some of the training images aside with --train.guard.split train."
        )
    return open_for(network, data, "val") if guarded or options.checkpoint.probe_images else None


def guard_images(
    network: StitchedNetwork,
    source: ImageSource,
    held_out: ImageSource | None,
    options: GuardOptions,
    *,
    workers: int = 0,
    ranks: Ranks = ALONE,
) -> tuple[ImageSource, HeldOut]:
    """The images left to train on, and those the guard measures the anchors on, this process's share of them.

    Args:
        network: Says which images.
        source: The training images.
        held_out: What `open_held_out` gave; not read where the options set training images aside.
        options: See `GuardOptions`.
        workers: Processes that read images.
        ranks: The processes that measure together.

    Raises:
        StitchError: There are too few training images to set some aside.
    """
    if options.split == "train" or held_out is None:
        source, held_out = set_aside(source, options.images)
    measured = held_out

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        yield from image_loader(
            measured,
            network.input_spec,
            batch_size=250 * ranks.count,
            limit=options.images,
            workers=workers,
            rank=ranks.rank,
            ranks=ranks.count,
        )

    return source, batches


def check_guard_steers(options: TrainOptions, *, steps: int) -> None:
    """Make sure that a guard that is to steer measures before the last of so many steps.

    Raises:
        StitchError: It would not, so its limit would be kept by chance alone.
    """
    every, limit = options.guard.every, options.guard.limit
    if options.guard.steers and every >= steps:
        raise StitchError(
            f"train.guard.every is {every:,} and the training has {steps:,} steps: the guard would not "
            f"measure in time to keep the limit of {limit:g} points. Let it measure ten times or so."
        )
