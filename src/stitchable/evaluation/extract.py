"""One stitch as the sweep measures it: with BatchNorm statistics of its own."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from stitchable.evaluation.trie import Trie
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.stitch import Stitch
from stitchable.subnetwork import Subnetwork


def extract_calibrated(
    network: StitchedNetwork, stitch: Stitch | str, batches: Iterable[Tensor]
) -> Subnetwork:
    """Copy one stitch out of a network, with BatchNorm statistics of its own behind the joints.

    Args:
        network: Its modes are restored afterwards, and its buffers do not change.
        stitch: The stitch, its text id, or an anchor's name.
        batches: See `Trie`; not read where the stitch needs none.

    Returns:
        A module in the network's training mode, whose logits in eval mode are those that a sweep measures
        with the same batches, bit for bit. Its ``calibration_images`` say how many images were seen.

    Raises:
        StitchError: The stitch is not in the space, no images came, or a batch holds only one.
    """
    with evaluating(network):
        sub = Trie(network, [network.space.stitch(stitch)], calibration=batches).extract(0)
    return sub.train(network.training)
