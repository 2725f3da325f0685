"""Several stitches on one batch: what they share at their beginning runs once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from stitchable.network import StitchedNetwork
from stitchable.space.steps import Step
from stitchable.space.tree import PathTree
from stitchable.stitch import Stitch


def run_paths(network: StitchedNetwork, x: Tensor, stitches: Sequence[Stitch | str]) -> dict[Stitch, Tensor]:
    """Run several stitches; a shared prefix runs once, and one backward pass goes through all.

    In training mode what is random in a shared prefix (dropout, stochastic depth) is drawn once for all
    who share it, and its BatchNorm statistics, where they run, are updated once.

    Args:
        network: Where the stitches run.
        x: Normalised images, ``(batch, channels, rows, columns)``.
        stitches: Stitches, text ids or anchors' names; one that comes twice runs once.

    Returns:
        Logits ``(batch, classes)`` of each stitch, in the order given; in eval mode the same bits as
        ``network(x, stitch)``.

    Raises:
        StitchError: A stitch is not in the space.

    Example:
        `stitchable.space.tree.shared_macs` says what it saves.
    """
    chosen = list(dict.fromkeys(network.space.stitch(stitch) for stitch in stitches))
    tree = PathTree.of([network.space.steps(stitch) for stitch in chosen])
    logits = dict(run_tree(network, tree, x))
    return {stitch: logits[position] for position, stitch in enumerate(chosen)}


def run_tree(network: StitchedNetwork, node: PathTree[Step], x: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Run paths that were merged, whole or not; each gives its position and what its last step gives."""
    for position in node.ends:
        yield position, x
    for step, child in node.children.items():
        yield from run_tree(network, child, network.apply_step(step, x))
