"""How alike the cuts of a zoo are, in one pass over the images, and how good its anchors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import combinations

import torch

from stitchable.anchors.anchor import Anchor
from stitchable.data.loader import image_loader
from stitchable.device import sums_device
from stitchable.evaluation.module import tally_module
from stitchable.feature import Cut
from stitchable.initialization.fit import cut_features
from stitchable.modes import evaluating
from stitchable.ranks import Ranks
from stitchable.reassembly.partition import cuts_in_reach
from stitchable.runs.fit_images import FitImages
from stitchable.runs.images import open_for
from stitchable.runs.zoo_config import ZooConfig
from stitchable.similarity.pair import ASYMMETRIC
from stitchable.similarity.sums import SimilaritySums


@torch.no_grad()
def zoo_similarity(
    anchors: Sequence[Anchor], config: ZooConfig, ranks: Ranks
) -> dict[tuple[Cut, Cut], float]:
    """Similarity of every two cuts that a part may begin at or lead to; each anchor runs once per batch.

    Args:
        anchors: The zoo, on one device.
        config: Which measure, of how many ``train`` images.
        ranks: The processes that share the batches; all get the same values.

    Returns:
        By pair of cuts; in both orders where the measure is not symmetric.

    Raises:
        StitchError: No training images, or a measure that these rows do not allow.
    """
    options, by_name = config.reassembly, {anchor.name: anchor for anchor in anchors}
    cuts = cuts_in_reach(
        [anchor.outline for anchor in anchors],
        parts=options.parts,
        epsilon=options.epsilon,
        size=options.size,
    )
    pairs = list(combinations(cuts, 2))
    if options.measure in ASYMMETRIC:
        pairs += [(end, front) for front, end in pairs]
    device = next(anchors[0].parameters()).device
    sums = SimilaritySums(
        {name: anchor.outline.features for name, anchor in by_name.items()},
        pairs,
        rows=options.rows,
        measures=[options.measure],
        groups=0,
        device=sums_device(device),
    )
    source = open_for(anchors[0], replace(config.data, memory=False), "train")
    wanted = replace(config.run, fit=replace(config.fit, images=options.images, ridge=0.0))
    with ExitStack() as stack:
        for anchor in anchors:
            stack.enter_context(evaluating(anchor))
        for images in FitImages(source, anchors[0], wanted, ranks).all():
            sums.update(cut_features(by_name, cuts, images.to(device)))
    sums.merge(ranks)
    return {(each.front, each.end): each.value for each in sums.values()}


def anchor_top1(anchors: Sequence[Anchor], config: ZooConfig) -> dict[str, float]:
    """Top-1 of each anchor alone on the probe images, in percent."""
    source = open_for(anchors[0], replace(config.data, memory=False), "val")
    found = {}
    for anchor in anchors:
        loader = image_loader(
            source,
            anchor.input_spec,
            batch_size=config.sweep.batch_size,
            limit=config.reassembly.probe_images,
            workers=config.data.workers,
        )
        tally = tally_module(anchor, loader)
        found[anchor.name] = 100 * tally.correct / tally.images
    return found
