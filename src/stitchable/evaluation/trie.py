"""Running many stitches on one batch: every shared prefix runs once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from stitchable.network import StitchedNetwork
from stitchable.space.steps import Step
from stitchable.stitch import Stitch


@dataclass
class Node:
    """A step of the trie of paths.

    Attributes:
        children: What may run next.
        ends: Positions, in the list of stitches, of those that end here.
    """

    children: dict[Step, Node] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)


class Trie:
    """The paths of some stitches, merged where they begin alike.

    Args:
        network: Where the stitches run.
        stitches: In any order; their positions are what `run` gives back.
    """

    def __init__(self, network: StitchedNetwork, stitches: Sequence[Stitch]) -> None:
        self.network = network
        self.root = Node()
        for position, stitch in enumerate(stitches):
            node = self.root
            for step in network.space.steps(stitch):
                node = node.children.setdefault(step, Node())
            node.ends.append(position)

    def run(self, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Logits of every stitch on a batch, as they come.

        The features along one path are held at a time.

        Args:
            x: Normalised images ``(batch, channels, rows, columns)``.

        Yields:
            The stitch's position and its logits ``(batch, classes)``, the same bits that
            ``network(x, stitch)`` gives.
        """
        yield from self._descend(self.root, x)

    def _descend(self, node: Node, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        for position in node.ends:
            yield position, x
        for step, child in node.children.items():
            yield from self._descend(child, self.network.apply_step(step, x))
