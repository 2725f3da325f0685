"""Which joints ``stitchable similarity`` tests, and on what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from stitchable.anchors.anchor import Anchor
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import ImageLoader, image_loader
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork, check_same_classes
from stitchable.prediction.fitted_joints import stitching_test
from stitchable.prediction.tested_joint import JointTest
from stitchable.ranks import Ranks
from stitchable.runs.calibration import IMAGES, calibration_batches
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.images import open_for, open_split
from stitchable.runs.similarity_options import SimilarityOptions, Tested
from stitchable.space.alike import every_joint, front_end_pairs, with_others
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace


def what_to_test(
    anchors: Sequence[Anchor], options: SimilarityOptions, data: DataConfig
) -> tuple[Tested, str | None]:
    """The kind of test, never ``"auto"``, and why there is none where it was not told to be none.

    Raises:
        StitchError: A test was asked for by name and cannot be made.
    """
    if options.test == "none":
        return "none", None
    reason = None if data.train else "no training images are named to fit joints to (--data.train)."
    try:
        check_same_classes(anchors)
    except StitchError as error:
        reason = str(error)
    if reason is None:
        return ("joints" if options.test == "auto" else options.test), None
    if options.test != "auto":
        raise StitchError(f"--test {options.test} cannot be done: {reason} --test none does without.")
    return "none", f"No joint was tested, and a similarity is no prediction of accuracy: {reason}"


def joints_to_test(
    anchors: Sequence[Anchor], chosen: Sequence[Joint], kind: Tested, *, seed: int
) -> list[Joint]:
    """The joints of the test, between every two anchors, the cheaper one first.

    Args:
        anchors: Two or more.
        chosen: What the similarity chooses.
        kind: ``"joints"`` or ``"all"``.
        seed: Of the draw of as many others as are chosen.
    """
    found = []
    for front, end in front_end_pairs([anchor.outline for anchor in anchors]):
        joints = every_joint(front, end)
        ours = [joint for joint in chosen if (joint.front, joint.end) == (front.name, end.name)]
        found += joints if kind == "all" else with_others(ours, joints, len(ours), seed=seed)
    return found


def open_images_for(
    anchors: Sequence[Anchor], kind: Tested, data: DataConfig
) -> tuple[ImageSource, ImageSource | None]:
    """The held-out images, and the training images where a test is made, which needs the anchors' classes.

    Raises:
        StitchError: They do not open, or their classes are not the anchors'.
    """
    few = replace(data, memory=False)  # not all images are read
    if kind == "none":
        return open_split(few, "val"), None
    return open_for(anchors[0], few, "val"), open_for(anchors[0], few, "train")


@dataclass(frozen=True)
class JointImages:
    """What joints are tested with.

    Attributes:
        train: Images to fit the layers to.
        val: Held-out images to measure accuracy on.
        data: Where both come from.
        options: How many of each.
    """

    train: ImageSource
    val: ImageSource
    data: DataConfig
    options: SimilarityOptions


def measure_joints(
    anchors: Sequence[Anchor],
    joints: Sequence[Joint],
    given: JointImages,
    *,
    seed: int,
    ranks: Ranks,
    on_batch: Callable[[int], None],
) -> tuple[list[JointTest], dict[str, float]]:
    """Fit joints to training images and measure their stitches on held-out ones, see `stitching_test`.

    Where BatchNorm lies behind a joint its statistics are adjusted as a sweep does, on as many of the
    training images as the layers are fitted to, and no more than `IMAGES`.

    Args:
        anchors: On one device.
        joints: Each with a layer of its own.
        given: The images.
        seed: Of the images' order.
        ranks: The processes that share the batches.
        on_batch: Called with the number of images after each measured batch.

    Raises:
        StitchError: The images do not fit the anchors.
    """
    space = StitchingSpace([anchor.outline for anchor in anchors], joints)
    device = next(anchors[0].parameters()).device
    network = StitchedNetwork(anchors, space, seed=seed).to(device).eval()
    options, data, size = given.options, given.data, given.options.batch_size

    def loader(source: ImageSource, images: int, *, shuffle: bool) -> ImageLoader:
        return image_loader(
            source,
            network.input_spec,
            batch_size=size,
            limit=images,
            shuffle_seed=seed if shuffle else None,
            workers=data.workers,
            start=ranks.rank,
            every=ranks.count,
            keep_full=shuffle,
            keep_empty=not shuffle,
        )

    stitches = [space.through([joint]) for joint in joints]
    calibrated = SweepConfig(batch_size=size, calibration_images=min(options.fit_images, IMAGES))
    return stitching_test(
        network,
        (images for images, _ in loader(given.train, options.fit_images, shuffle=True)),
        loader(given.val, options.test_images, shuffle=False),
        calibration=calibration_batches(network, stitches, data, calibrated, ranks=ranks),
        on_batch=on_batch,
        ranks=ranks,
    )
