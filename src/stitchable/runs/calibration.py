"""The training images on which a run's BatchNorm statistics are adjusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from stitchable.data.loader import image_loader
from stitchable.errors import StitchError
from stitchable.evaluation.batch_norm import norms_behind_joint
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.stitch import Stitch
from stitchable.training.options import FROZEN

IMAGES = 1000  # where the options leave it open


def calibration_options(options: SweepConfig, run: RunFolder, *, trained: bool) -> SweepConfig:
    """The options with a number of calibration images, where they leave it open.

    Args:
        options: As given.
        run: Says how its network was trained.
        trained: Whether the trained network is meant, or the fitted one.
    """
    if options.calibration_images is not None:
        return options
    train = run.read_config()["train"] if trained else {}
    kept = train.get("batch_norm") == "frozen" or train.get("tune") in FROZEN
    return replace(options, calibration_images=0 if kept else IMAGES)


def calibration_batches(
    network: StitchedNetwork,
    stitches: Sequence[Stitch],
    data: DataConfig,
    options: SweepConfig,
    *,
    ranks: Ranks = ALONE,
) -> Iterator[Tensor] | None:
    """Batches of training images without augmentation, always the same for the same data and options.

    They do not depend on the run's seed, so that an extracted stitch gets the statistics it was measured
    with.

    Args:
        network: Says which images, and whether any are needed.
        stitches: What is to be measured or extracted.
        data: Its ``train`` images are used.
        options: How many, and the largest size of a batch.
        ranks: This process gets its share of the batches.

    Returns:
        ``None`` where it is switched off or no stitch has BatchNorm behind a joint; no image is read then.

    Raises:
        StitchError: No training images are named, or they do not fit.
    """
    wanted = IMAGES if options.calibration_images is None else options.calibration_images
    steps = network.space.steps
    if not wanted or not any(norms_behind_joint(network, steps(stitch)) for stitch in stitches):
        return None
    if not data.train:
        raise StitchError(
            "BatchNorm statistics behind a joint are adjusted on training images, and none are named. "
            "Give --data.train, or keep the anchors' statistics with --sweep.calibration_images 0."
        )
    source = open_for(network, replace(data, memory=False), "train")  # few images are read
    size = even_batch_size(min(wanted, len(source)), options.batch_size)
    loader = image_loader(
        source,
        network.input_spec,
        batch_size=size,
        limit=wanted,
        shuffle_seed=0,  # batches of one class each would have too little variance
        workers=data.workers,
        start=ranks.rank,
        every=ranks.count,
        keep_full=True,  # batches of one size, which count alike
    )
    return (images for images, _ in loader)


def even_batch_size(count: int, largest: int) -> int:
    """Size of batches that share ``count`` images most evenly, since each counts as much as the others.

    No more than ``largest``, unless the last batch would then be a single image, which has no variance.

    Example:
        >>> even_batch_size(1000, 300), even_batch_size(251, 250)
        (250, 126)
    """
    batches = -(-count // largest)
    size = max(2, -(-count // batches))
    while size < count and count % size == 1:
        size += 1
    return size
