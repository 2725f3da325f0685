"""Running many stitches on one batch: every shared prefix runs once."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from stitchable.anchors.twin import original_of
from stitchable.evaluation.batch_norm import (
    PathStatistics,
    SeenMoments,
    batch_norms,
    check_seen,
    large_enough,
    norms_behind_joint,
)
from stitchable.evaluation.moments import Moments, moments_alone
from stitchable.evaluation.walk import Together, leading_to, walk
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.space.steps import Step
from stitchable.space.tree import PathTree
from stitchable.stitch import Stitch
from stitchable.subnetwork import Subnetwork

Key = tuple[Step, bool]
"""A step, and whether it lies behind a joint of a path with BatchNorm statistics of its own. Where some paths
through a step have such statistics and others have not, it has two nodes."""


class _CalibrationBatch(NamedTuple):
    images: int
    moments: list[SeenMoments]  # for each of the trie's statistics


class Trie:
    """The paths of some stitches, merged where they begin alike.

    Args:
        network: Where the stitches run; it should be in eval mode from here on. Nothing of it changes.
        stitches: In any order; their positions are what `run` gives back.
        calibration: Normalised training images without augmentation, ``(batch, channels, rows, columns)``,
            two or more in each batch. With them every BatchNorm layer behind a joint gets statistics for
            each path to it, see `stitchable.evaluation.batch_norm`. They are read once, and not at all
            where no path needs them.
        ranks: The processes that share the calibration: of all batches each gives those of its
            `Ranks.share`, and all get the statistics of all batches, the same bits as one process.

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
        ranks: Ranks = ALONE,
    ) -> None:
        self.network = network
        self.calibration_images = 0
        self._stitches = tuple(stitches)
        paths = [network.space.steps(stitch) for stitch in stitches]
        norms = [{} if calibration is None else norms_behind_joint(network, each) for each in paths]
        self.calibrated = {position for position, each in enumerate(norms) if each}
        self._tree = PathTree.of([self._keys(position, steps) for position, steps in enumerate(paths)])
        self._statistics: dict[PathTree[Key], PathStatistics] = {}
        self._adjusted: set[PathTree[Key]] = set()  # nodes with statistics, and all before them
        self._behind: dict[str, dict[_BatchNorm, None]] = {}  # by anchor: layers behind a joint of any path
        self._places: dict[PathTree[Key], tuple[int, float]] = {}
        for position, steps in enumerate(paths):
            self._place(self._keys(position, steps))
        for position in sorted(self.calibrated):
            self._give_statistics(self._keys(position, paths[position]), norms[position])
        if calibration is not None and self.calibrated:
            self._calibrate(calibration, ranks)

    def __len__(self) -> int:
        """Number of stitches."""
        return len(self._stitches)

    def _keys(self, position: int, steps: Sequence[Step]) -> list[Key]:
        joint = next((number for number, step in enumerate(steps) if step.kind == "layer"), len(steps))
        own = position in self.calibrated
        return [(step, own and number >= joint) for number, step in enumerate(steps)]

    def _give_statistics(self, keys: Sequence[Key], norms: Mapping[int, list[_BatchNorm]]) -> None:
        for number, node in enumerate(self._tree.along(keys[: max(norms) + 1])):
            self._adjusted.add(node)
            if number in norms and node not in self._statistics:
                self._statistics[node] = PathStatistics(norms[number])
                self._behind.setdefault(keys[number][0].name, {}).update(
                    dict.fromkeys(map(original_of, norms[number]))
                )

    @torch.no_grad()
    def _calibrate(self, batches: Iterable[Tensor], ranks: Ranks) -> None:
        for images, found in ranks.in_turn(self._moments(batch) for batch in batches):
            self.calibration_images += images
            for statistics, seen in zip(self._statistics.values(), found, strict=True):
                statistics.add(seen)
        check_seen(self.calibration_images)

    def _moments(self, batch: Tensor) -> _CalibrationBatch:
        x = large_enough(batch).to(next(self.network.parameters()).device)
        alone = {
            name: moments_alone(self.network.anchors[name], norms, x) for name, norms in self._behind.items()
        }
        seen = dict(self._adjust(self._tree, x, alone))
        return _CalibrationBatch(len(batch), [seen[each] for each in self._statistics.values()])

    def _adjust(
        self, node: PathTree[Key], x: Tensor, alone: Mapping[str, Mapping[_BatchNorm, Moments]]
    ) -> Iterator[tuple[PathStatistics, SeenMoments]]:
        for (step, _), child in node.children.items():
            if child not in self._adjusted:
                continue
            own = self._statistics.get(child)
            if own:
                with own.adjusting(alone[step.name]) as seen:
                    y = self.network.apply_step(step, x)
                yield own, seen
            else:
                y = self.network.apply_step(step, x)
            yield from self._adjust(child, y, alone)

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
        for step, node in zip(sub.steps, self._tree.along(self._keys(position, sub.steps)), strict=True):
            if node in self._statistics:
                self._statistics[node].store(batch_norms(sub.anchors[step.name], step))
        sub.calibration_images = self.calibration_images
        return sub

    def run(
        self, x: Tensor, *, only: Collection[int] | None = None, together: int = 0
    ) -> Iterator[tuple[int, Tensor]]:
        """Logits of stitches on a batch, as they come; see `stitchable.evaluation.walk.walk`.

        Args:
            x: Normalised images ``(batch, channels, rows, columns)``.
            only: Positions of the stitches to run; all where left out.
            together: Images that may wait to run the same block, of the paths to it as many as meet there;
                0 runs each path by itself. Blocks with BatchNorm statistics of a path run by themselves.

        Yields:
            The stitch's position and its logits ``(batch, classes)``, the same bits that
            ``network(x, stitch)`` gives; for those that are calibrated, the same that the module gives
            that `extract` makes. What has run together may differ from that in the last bits.
        """
        yield from walk(
            self._tree,
            x,
            self._run_step,
            only=None if only is None else leading_to(self._tree, only),
            together=Together(together, self._group, self._places) if together else None,
        )

    def _run_step(self, key: Key, node: PathTree[Key], x: Tensor) -> Tensor:
        own = self._statistics.get(node)
        with own.in_use() if own else nullcontext():
            return self.network.apply_step(key[0], x)

    def _group(self, key: Key, node: PathTree[Key]) -> Step | None:
        if node in self._statistics:
            return None
        step = key[0]
        return step if step.joint in self.network.behind else step._replace(joint="")

    def _place(self, keys: Sequence[Key]) -> None:
        """Note where a path's nodes stand: anchors in the order of the space, and their blocks in theirs."""
        anchors = list(self.network.anchors)
        place = (0, 0.0)
        for (step, _), node in zip(keys, self._tree.along(keys), strict=True):
            if step.kind == "layer":
                place = (place[0], place[1] + 0.5)
            else:
                blocks = {"stem": 0.0, "block": step.block + 1.0, "head": math.inf}
                place = (anchors.index(step.name), blocks[step.kind])
            self._places[node] = place
