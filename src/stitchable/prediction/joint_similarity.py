"""How alike the features are that each joint connects."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.initialization.fit import cut_features
from stitchable.initialization.views import View, view_pair
from stitchable.layers.adapters import rows_on
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.similarity.cka import linear_cka

ROWS = 20_000


@torch.no_grad()
def joint_similarity(network: StitchedNetwork, batches: Iterable[Tensor]) -> dict[str, float]:
    """Linear CKA of what each joint reads and what it is to give.

    Rows are positions on the end anchor's grid, as in least squares; those of one image are not independent,
    so the estimate's freedom from bias is that of many images. At most `ROWS` rows are held, taken evenly
    from every image.

    Args:
        network: Its anchors run as they are, up to the last cut that is joined.
        batches: Normalised images ``(batch, channels, rows, columns)``; few are enough, all are held.

    Returns:
        CKA by joint, written as `Joint` is.

    Raises:
        StitchError: No images came.
    """
    space = network.space
    pairs = {str(joint): view_pair(space, joint) for joint in space.joints}
    views = {view for pair in pairs.values() for view in pair}
    device = next(network.parameters()).device
    given = list(batches)
    images = sum(len(batch) for batch in given)
    if images == 0:
        raise StitchError("Similarity needs images. Give at least one batch.")
    rows: dict[View, list[Tensor]] = {view: [] for view in views}
    with evaluating(network):
        for batch in given:
            cuts = {(view.anchor, view.cut) for view in views}
            features = cut_features(network.anchors, cuts, batch.to(device))
            for view in views:
                spec = space.outlines[view.anchor].features[view.cut]
                found = rows_on(features[view.anchor, view.cut], spec, grid=view.grid, prefix=view.prefix)
                positions = len(found) // len(batch)
                step = -(-positions * images // ROWS)
                rows[view].append(found[::step].float().cpu())
    held = {view: torch.cat(parts) for view, parts in rows.items()}
    return {name: linear_cka(held[front], held[end]) for name, (front, end) in pairs.items()}
