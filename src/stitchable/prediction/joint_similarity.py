"""How alike the features are that each joint connects."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from stitchable.device import sums_device
from stitchable.initialization.fit import cut_features
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.similarity.sums import SimilaritySums


@torch.no_grad()
def joint_similarity(network: StitchedNetwork, batches: Iterable[Tensor]) -> dict[str, float]:
    """Linear CKA of what each joint reads and what it is to give.

    Rows are positions on the smaller of the two grids; those of one image are not independent, so the
    estimate's freedom from bias is that of many images.

    Args:
        network: Its anchors run as they are, up to the last cut that is joined.
        batches: Normalised images ``(batch, channels, rows, columns)``; seen once, none is kept.

    Returns:
        CKA by joint, written as `Joint` is.

    Raises:
        StitchError: Fewer than four images came.
    """
    pairs = {
        str(joint): ((joint.front, joint.leave), (joint.end, joint.enter)) for joint in network.space.joints
    }
    device = next(network.parameters()).device
    sums = SimilaritySums(
        {name: outline.features for name, outline in network.space.outlines.items()},
        list(dict.fromkeys(pairs.values())),
        rows="pixels",
        measures=["cka"],
        groups=0,
        device=sums_device(device),
    )
    with evaluating(network):
        for batch in batches:
            sums.update(cut_features(network.anchors, sums.cuts, batch.to(device)))
    found = {(each.front, each.end): each.value for each in sums.values()}
    return {name: found[pair] for name, pair in pairs.items()}
