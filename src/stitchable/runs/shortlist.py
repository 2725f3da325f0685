"""Which reassembled networks of a zoo are worth joining: the best by a score, under the bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from torch import Tensor

from stitchable.anchors.anchor import Anchor
from stitchable.data.loader import image_loader
from stitchable.feature import Cut
from stitchable.network import StitchedNetwork
from stitchable.ranks import Ranks
from stitchable.reassembly.assembly_scores import assembly_scores
from stitchable.reassembly.program import Assembly, best_assemblies
from stitchable.reassembly.scores.named import SCORES
from stitchable.reassembly.search import search_assemblies
from stitchable.runs.fit import fit_layers
from stitchable.runs.images import open_for
from stitchable.runs.zoo_config import ZooConfig
from stitchable.runs.zoo_similarity import anchor_top1
from stitchable.space.best import PathScores
from stitchable.space.joint import Joint
from stitchable.space.prune import ListedSpace
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

BATCHES, BATCH = 5, 32
"""Of the images that training-free scores see, as in Mellor et al. 2021."""


def shortlist(
    anchors: Sequence[Anchor],
    space: StitchingSpace,
    similarity: Mapping[tuple[Cut, Cut], float],
    config: ZooConfig,
    ranks: Ranks,
) -> list[Assembly]:
    """The best networks of a reassembly space by the score that is asked for, the best first; no anchors.

    Args:
        anchors: The zoo.
        space: What can be made of its parts.
        similarity: Of the cuts that its joints connect.
        config: Says the score, the bounds and how many.
        ranks: The processes that share a fit.

    Raises:
        StitchError: Nothing is within the bounds, or a score cannot be had.
    """
    options = config.reassembly
    if options.score in SCORES:
        return _by_search(anchors, space, config, ranks)
    scores = additive_scores(anchors, space, similarity, config)
    return best_assemblies(
        space,
        scores,
        params=options.most_params,
        macs=options.most_macs,
        top=options.wanted,
        anchors=False,
    )


def additive_scores(
    anchors: Sequence[Anchor],
    space: StitchingSpace,
    similarity: Mapping[tuple[Cut, Cut], float],
    config: ZooConfig,
) -> PathScores:
    """The scores ``additive`` and ``similarity``, see `ReassemblyConfig`; arguments as for `shortlist`."""
    options = config.reassembly
    at_joints = {joint.layer: _at(joint, similarity) for joint in space.joints}
    if options.score == "similarity":
        return assembly_scores(space, at_joints, dict.fromkeys(space.outlines, 0.0), weight=1.0)
    return assembly_scores(space, at_joints, anchor_top1(anchors, config), weight=options.joint_loss)


def listed_space(space: StitchingSpace, stitches: Sequence[Stitch]) -> ListedSpace:
    """The space of some stitches and the anchors, with the joints that these take and no others."""
    taken = {joint for stitch in stitches for joint in space.path(stitch)}
    smaller = StitchingSpace(
        list(space.outlines.values()),
        [joint for joint in space.joints if joint in taken],
        most_joints=max((len(stitch.joints) for stitch in stitches), default=0),
    )
    return ListedSpace(smaller, stitches)


def _at(joint: Joint, similarity: Mapping[tuple[Cut, Cut], float]) -> float:
    front, end = (joint.front, joint.leave), (joint.end, joint.enter)
    return similarity[front, end] if (front, end) in similarity else similarity[end, front]


def _by_search(
    anchors: Sequence[Anchor], space: StitchingSpace, config: ZooConfig, ranks: Ranks
) -> list[Assembly]:
    options = config.reassembly
    network = StitchedNetwork(anchors, space, seed=config.seed).to(next(anchors[0].parameters()).device)
    if config.fit.initialization == "least_squares":
        fit_layers(network, replace(config.run, fit=replace(config.fit, correct="none")), ranks)
    network.eval()
    score, (batches, targets) = SCORES[options.score], _few_images(network, config)
    found = search_assemblies(
        space,
        lambda stitch: score(network.extract(stitch), batches, targets),
        params=options.most_params,
        macs=options.most_macs,
        evaluations=options.evaluations,
        seed=config.seed,
        anchors=False,
    )
    return found[: options.wanted]


def _few_images(network: StitchedNetwork, config: ZooConfig) -> tuple[list[Tensor], list[Tensor]]:
    source = open_for(network, replace(config.data, memory=False), "train")
    loader = image_loader(
        source,
        network.input_spec,
        batch_size=BATCH,
        shuffle_seed=config.seed,
        workers=config.data.workers,
        keep_full=True,
    )
    device = next(network.parameters()).device
    seen = list(islice(iter(loader), BATCHES))
    return [images.to(device) for images, _ in seen], [labels.to(device) for _, labels in seen]
