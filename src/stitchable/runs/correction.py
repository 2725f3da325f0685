"""Classifiers of the joints' own: they make of the features behind a joint the logits of its end anchor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchable.data.image_source import ImageSource
from stitchable.errors import StitchError
from stitchable.evaluation.trie import Trie
from stitchable.initialization.held_out import choose_ridge
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.runs.calibration import calibration_batches
from stitchable.runs.classifier_sums import ClassifierSums, own_classifier, showing_features, sums_behind
from stitchable.runs.config import RunConfig
from stitchable.runs.fit_images import FitImages, plan_batches
from stitchable.space.joint import Joint
from stitchable.stitch import Stitch

RIDGES = tuple(10.0 ** (power / 2) for power in range(-12, 5))
"""Strengths that are tried; the last one all but leaves the end anchor's own classifier in its place."""

JOINTS_AT_ONCE = 32
SUMS_AT_ONCE = 2**30  # bytes that the sums of the joints at once may take


@dataclass(frozen=True)
class ClassifierFit:
    """How near a joint's own classifier brings the logits behind it to those of the end anchor alone.

    Attributes:
        joint: Its text.
        ridge: Strength of the ridge towards the end anchor's own classifier.
        held_out_r2: Share of the held-out logits' difference (its variance) that the correction takes away.
        images: Number of images seen, with those held out.
    """

    joint: str
    ridge: float
    held_out_r2: float
    images: int


Calibration = Callable[[Sequence[Stitch]], "Iterable[Tensor] | None"]


@torch.no_grad()
def correct_classifiers(
    network: StitchedNetwork,
    batches: Callable[[], Iterable[Tensor]],
    *,
    held_out: int,
    calibration: Calibration = lambda stitches: None,
    ranks: Ranks = ALONE,
) -> list[ClassifierFit]:
    """Give every joint a classifier of its own, in closed form and without labels.

    With the final features f of the stitch that takes the joint alone, the end anchor's classifier (W, b) and
    its logits z on the same images, it is (W + V, b + c) where V, c minimise
    ``Σ ‖z − (W + V) f − b − c‖² + ridge · ‖V‖²``: a ridge towards the classifier that is there, so a joint
    that changes nothing keeps it. The ridge is chosen on held-out images for each joint, relative as in
    `LeastSquares.solve`; then both parts are added up. Anchors stay as they are; paths through several joints
    use the classifier of the last one, which was made for the path through this one alone.

    Args:
        network: Its stitching layers are fitted. Joints without a stitch of their own in its space, or into
            an anchor without a `linear_classifier`, keep the anchor's.
        batches: Gives all images anew with every call, normalised ``(batch, channels, rows, columns)``.
        held_out: So many batches of them, the first ones, are held out.
        calibration: Batches for the BatchNorm statistics of some stitches, see `Trie`: those that the
            sweep will use.
        ranks: Each process works for some of the joints, and all get all: the same bits for any number.

    Returns:
        One entry per corrected joint, in the space's order.

    Raises:
        StitchError: The joints own something else, no joint can be corrected, or an anchor's logits are not
            what its linear layer gives.
    """
    network.own_behind_joints("classifier")
    stitches = _stitches_of_joints(network)
    groups = _groups(network, list(stitches))
    found: dict[Joint, tuple[Tensor, Tensor, ClassifierFit]] = {}

    def solved() -> Iterator[dict[Joint, tuple[Tensor, Tensor, ClassifierFit]]]:
        for number in ranks.share(len(groups)):
            group = {joint: stitches[joint] for joint in groups[number]}
            trie = Trie(network, list(group.values()), calibration=calibration(list(group.values())))
            sums, images = sums_behind(network, trie, list(group), batches(), held_out)
            yield {joint: _solve(joint, each, images) for joint, each in sums.items()}

    with evaluating(network):
        own = {joint: own_classifier(network, joint) for joint in stitches}
        with showing_features(own):
            for part in ranks.in_turn(solved()):
                found |= part
    for joint, (weight, bias, _) in found.items():
        for parameter, change in zip(own[joint], (weight, bias), strict=True):
            parameter.copy_(parameter.double() + change.to(parameter.device, torch.float64))
    return [found[joint][2] for joint in stitches]


def correct_run(
    network: StitchedNetwork, source: ImageSource, config: RunConfig, ranks: Ranks
) -> list[ClassifierFit]:
    """`correct_classifiers` on the images that the layers were fitted to.

    Args:
        network: Its layers are fitted.
        source: The training images.
        config: Its ``fit.images`` is the number that was seen. Its ``sweep`` says how BatchNorm statistics
            are adjusted behind joints: the classifiers are made for features with these.
        ranks: See `correct_classifiers`.

    Raises:
        StitchError: As `correct_classifiers`, or there are too few images to hold any out.
    """
    assert not isinstance(config.fit.images, str)
    return correct_classifiers(
        network,
        lambda: FitImages(source, network, config, ALONE).all(),
        held_out=plan_batches(config.fit.images, config.fit).held_out,
        calibration=lambda stitches: calibration_batches(network, stitches, config.data, config.sweep),
        ranks=ranks,
    )


def _stitches_of_joints(network: StitchedNetwork) -> dict[Joint, Stitch]:
    space = network.space
    alone = {joint: space.through([joint]) for joint in space.joints if network.behind[str(joint)].own()}
    found = {joint: stitch for joint, stitch in alone.items() if stitch in space}
    if not found:
        raise StitchError("No joint has a stitch of its own to correct. Leave fit.correct at none.")
    return found


def _groups(network: StitchedNetwork, joints: Sequence[Joint]) -> list[list[Joint]]:
    """Joints that are worked on at once. They depend on the space alone, so that ranks change no bit."""

    def numbers(joint: Joint) -> int:
        classes, width = own_classifier(network, joint)[0].shape
        return 2 * width * (width + classes)

    size = max(1, min(JOINTS_AT_ONCE, SUMS_AT_ONCE // (8 * max(map(numbers, joints)))))
    return [list(joints[first : first + size]) for first in range(0, len(joints), size)]


def _solve(joint: Joint, sums: ClassifierSums, images: int) -> tuple[Tensor, Tensor, ClassifierFit]:
    try:
        choice = choose_ridge(sums.fitted, sums.held_out, RIDGES)
    except StitchError as error:
        raise StitchError(f"Joint {joint}: {error}") from None
    sums.fitted.merge(sums.held_out)
    change = sums.fitted.solve(ridge=choice.ridge)
    fit = ClassifierFit(str(joint), choice.ridge, choice.held_out_r2, images)
    return change.weight.cpu(), change.bias.cpu(), fit
