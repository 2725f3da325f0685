"""Running many stitches on one batch: every shared prefix runs once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from stitchable.anchors.twin import original_of
from stitchable.evaluation.batch_norm import (
    PathStatistics,
    batch_norms,
    check_seen,
    large_enough,
    norms_behind_joint,
)
from stitchable.evaluation.moments import Moments, moments_alone
from stitchable.network import StitchedNetwork
from stitchable.space.steps import Step
from stitchable.stitch import Stitch
from stitchable.subnetwork import Subnetwork


@dataclass
class Node:
    """A step of the trie of paths.

    Attributes:
        children: What may run next. The same step behind the same joint has two nodes where some of its
            paths have BatchNorm statistics of their own and others do not.
        ends: Positions, in the list of stitches, of those that end here.
        statistics: Of the BatchNorm layers that the step runs, where they are this path's own.
        adjusted: Whether this node, or one below it, has such statistics.
    """

    children: dict[tuple[Step, bool], Node] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    statistics: PathStatistics | None = None
    adjusted: bool = False


class Trie:
    """The paths of some stitches, merged where they begin alike.

    Args:
        network: Where the stitches run; it should be in eval mode from here on. Nothing of it changes.
        stitches: In any order; their positions are what `run` gives back.
        calibration: Normalised training images without augmentation, ``(batch, channels, rows, columns)``,
            two or more in each batch. With them every BatchNorm layer behind a joint gets statistics for
            each path to it, see `stitchable.evaluation.batch_norm`. They are read once, and not at all
            where no path needs them.

    Attributes:
        calibrated: Positions of the stitches that have statistics of their own.
        calibration_images: Number of images that these saw.

    Raises:
        StitchError: Calibration needs images, and none came, or one alone in a batch.
    """

    def __init__(
        self,
        network: StitchedNetwork,
        stitches: Sequence[Stitch],
        *,
        calibration: Iterable[Tensor] | None = None,
    ) -> None:
        self.network = network
        self.root = Node()
        self.calibrated: set[int] = set()
        self.calibration_images = 0
        self._stitches = tuple(stitches)
        self._behind: dict[str, dict[_BatchNorm, None]] = {}  # by anchor: layers behind a joint of any path
        for position, stitch in enumerate(stitches):
            steps = network.space.steps(stitch)
            norms = {} if calibration is None else norms_behind_joint(network, steps)
            self._insert(position, steps, norms)
        if calibration is not None and self.calibrated:
            self._calibrate(calibration)

    def _insert(self, position: int, steps: Sequence[Step], norms: Mapping[int, list[_BatchNorm]]) -> None:
        node, last = self.root, max(norms, default=-1)
        if norms:
            self.calibrated.add(position)
        for number, key in enumerate(self._keys(position, steps)):
            node = node.children.setdefault(key, Node())
            node.adjusted = node.adjusted or number <= last
            if number in norms and node.statistics is None:
                node.statistics = PathStatistics(norms[number])
                self._behind.setdefault(key[0].name, {}).update(
                    dict.fromkeys(map(original_of, norms[number]))
                )
        node.ends.append(position)

    def _keys(self, position: int, steps: Sequence[Step]) -> Iterator[tuple[Step, bool]]:
        """Where to descend for a stitch, from the root on."""
        behind = False
        for step in steps:
            behind = behind or step.kind == "layer"
            yield step, behind and position in self.calibrated

    @torch.no_grad()
    def _calibrate(self, batches: Iterable[Tensor]) -> None:
        device = next(self.network.parameters()).device
        for batch in batches:
            x = large_enough(batch).to(device)
            alone = {
                name: moments_alone(self.network.anchors[name], norms, x)
                for name, norms in self._behind.items()
            }
            self._adjust(self.root, x, alone)
            self.calibration_images += len(batch)
        check_seen(self.calibration_images)

    def _adjust(self, node: Node, x: Tensor, alone: Mapping[str, Mapping[_BatchNorm, Moments]]) -> None:
        for (step, _), child in node.children.items():
            if child.adjusted:
                statistics = child.statistics
                with statistics.adjusting(alone[step.name]) if statistics else nullcontext():
                    y = self.network.apply_step(step, x)
                self._adjust(child, y, alone)

    def extract(self, position: int) -> Subnetwork:
        """Copy a stitch out of the network, with the statistics that it has here.

        Args:
            position: Of the stitch, in the list of stitches.

        Returns:
            A module that shares no memory with the network; its logits are the same bits that `run` gives.
        """
        sub = self.network.extract(self._stitches[position])
        if position not in self.calibrated:
            return sub
        node = self.root
        for key in self._keys(position, sub.steps):
            node = node.children[key]
            if node.statistics is not None:
                node.statistics.store(batch_norms(sub.anchors[key[0].name], key[0]))
        sub.calibration_images = self.calibration_images
        return sub

    def run(self, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Logits of every stitch on a batch, as they come.

        The features along one path are held at a time.

        Args:
            x: Normalised images ``(batch, channels, rows, columns)``.

        Yields:
            The stitch's position and its logits ``(batch, classes)``, the same bits that
            ``network(x, stitch)`` gives; for those that are calibrated, the same that the module gives
            that `extract` makes.
        """
        yield from self._descend(self.root, x)

    def _descend(self, node: Node, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        for position in node.ends:
            yield position, x
        for (step, _), child in node.children.items():
            with child.statistics.in_use() if child.statistics else nullcontext():
                y = self.network.apply_step(step, x)
            yield from self._descend(child, y)
