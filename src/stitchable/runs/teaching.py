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


def guard_images(
    network: StitchedNetwork,
    source: ImageSource,
    data: DataConfig,
    options: GuardOptions,
    *,
    ranks: Ranks = ALONE,
) -> tuple[ImageSource, HeldOut]:
    """The images left to train on, and those the guard measures the anchors on, this process's share of them.

    Args:
        network: Says which images.
        source: The training images.
        data: Its ``val`` images are used where the options say so.
        options: See `GuardOptions`.
        ranks: The processes that measure together.

    Raises:
        StitchError: There are no held-out images, or too few training images to set some aside.
    """
    if options.split == "val":
        if not data.val:
            raise StitchError(
                "The anchors' guard measures on held-out images, and none are named. Give --data.val, or set "
                "some of the training images aside with --train.guard.split train."
            )
        held_out = open_for(network, data, "val")
    else:
        source, held_out = set_aside(source, options.images)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        yield from image_loader(
            held_out,
            network.input_spec,
            batch_size=250 * ranks.count,
            limit=options.images,
            workers=data.workers,
            rank=ranks.rank,
            ranks=ranks.count,
        )

    return source, batches
