"""Running many stitches on one batch: every shared prefix runs once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from stitchable.evaluation.batch_norm import PathStatistics, check_seen, large_enough, norms_behind_joint
from stitchable.network import StitchedNetwork
from stitchable.space.steps import Step
from stitchable.stitch import Stitch


@dataclass
class Node:
    """A step of the trie of paths.

    Attributes:
        children: What may run next. The same step behind the same joint has two nodes where some of its
            paths have BatchNorm statistics of their own and others do not.
        ends: Positions, in the list of stitches, of those that end here.
        statistics: Of the BatchNorm layers that the step runs, where they are this path's own.
        estimated: Whether this node, or one below it, has such statistics.
    """

    children: dict[tuple[Step, bool], Node] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    statistics: PathStatistics | None = None
    estimated: bool = False


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
        for position, stitch in enumerate(stitches):
            steps = network.space.steps(stitch)
            norms = {} if calibration is None else norms_behind_joint(network.anchors, steps)
            self._insert(position, steps, norms)
        if calibration is not None and self.calibrated:
            self._calibrate(calibration)

    def _insert(self, position: int, steps: Sequence[Step], norms: Mapping[int, list[_BatchNorm]]) -> None:
        node, behind, last = self.root, False, max(norms, default=-1)
        if norms:
            self.calibrated.add(position)
        for number, step in enumerate(steps):
            behind = behind or step.kind == "layer"
            node = node.children.setdefault((step, behind and bool(norms)), Node())
            node.estimated = node.estimated or number <= last
            if number in norms and node.statistics is None:
                node.statistics = PathStatistics(norms[number])
        node.ends.append(position)

    @torch.no_grad()
    def _calibrate(self, batches: Iterable[Tensor]) -> None:
        device = next(self.network.parameters()).device
        for batch in batches:
            self._estimate(self.root, large_enough(batch).to(device))
            self.calibration_images += len(batch)
        check_seen(self.calibration_images)

    def _estimate(self, node: Node, x: Tensor) -> None:
        for (step, _), child in node.children.items():
            if child.estimated:
                self._estimate(child, self._apply(step, child, x, estimating=True))

    def _apply(self, step: Step, node: Node, x: Tensor, *, estimating: bool = False) -> Tensor:
        if node.statistics is None:
            return self.network.apply_step(step, x)
        with node.statistics.in_use(estimating=estimating):
            return self.network.apply_step(step, x)

    def run(self, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Logits of every stitch on a batch, as they come.

        The features along one path are held at a time.

        Args:
            x: Normalised images ``(batch, channels, rows, columns)``.

        Yields:
            The stitch's position and its logits ``(batch, classes)``, the same bits that
            ``network(x, stitch)`` gives; for those that are calibrated, the same that the extracted
            stitch gives after `stitchable.evaluation.batch_norm.recalibrate` on the same batches.
        """
        yield from self._descend(self.root, x)

    def _descend(self, node: Node, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        for position in node.ends:
            yield position, x
        for (step, _), child in node.children.items():
            yield from self._descend(child, self._apply(step, child, x))
