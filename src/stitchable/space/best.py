"""The best path by scores that add up, for every budget at once, in spaces of any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stitchable.errors import StitchError
from stitchable.space.joint import Joint
from stitchable.space.labels import Labels, Origins
from stitchable.space.prune import ListedSpace
from stitchable.space.running import RunningCosts
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

MOST_LABELS = 4096


@dataclass(frozen=True)
class PathScores:
    """A number for every stitch that adds up along its path; more is better.

    Attributes:
        ends: What the anchor adds in which a path ends.
        blocks: By anchor, what each of its blocks adds where it runs.
        joints: What each joint adds.
    """

    ends: Mapping[str, float]
    blocks: Mapping[str, Sequence[float]]
    joints: Mapping[Joint, float]

    def of(self, space: StitchingSpace, stitch: Stitch | str) -> float:
        """The score of a stitch of ``space``."""
        stitch = space.stitch(stitch)
        blocks = [sum(self.blocks[each.anchor][each.start : each.stop]) for each in stitch.segments]
        joints = [self.joints[joint] for joint in space.path(stitch)]
        return self.ends[stitch.anchors[-1]] + sum(blocks) + sum(joints)


class Scored(NamedTuple):
    """A stitch with its MACs and its score."""

    stitch: Stitch
    macs: int
    score: float


@dataclass(frozen=True)
class ScoredFront:
    """The stitches that no other one beats in MACs and score at once, by rising MACs.

    Attributes:
        stitches: The front.
        gap: No stitch of the space scores more than this above the best of the front that costs no more; 0
            where the front is exact, but for the rounding of sums.
    """

    stitches: tuple[Scored, ...]
    gap: float

    def within(self, macs: int) -> Scored:
        """The best stitch of the front for a budget.

        Raises:
            StitchError: No stitch is as cheap.
        """
        affordable = [each for each in self.stitches if each.macs <= macs]
        if not affordable:
            cheapest = f"{self.stitches[0].macs:,}" if self.stitches else "more"
            raise StitchError(f"No stitch has {macs:,} MACs or fewer; the cheapest has {cheapest}.")
        return affordable[-1]


def scored_front(
    space: StitchingSpace, scores: PathScores, *, budget: int | None = None, most_labels: int = MOST_LABELS
) -> ScoredFront:
    """Find the front of MACs and score without listing the space.

    Dynamic programming over cuts: of the partial paths that meet at one with as many joints behind them, only
    those are kept that no other one beats in both.

    Args:
        space: Of any size; one that is a list is gone through.
        scores: Finite numbers.
        budget: Most MACs; ``None`` gives the whole front.
        most_labels: How many partial paths are kept at a cut. Where there would be more, scores that hardly
            differ are taken for equal, and `ScoredFront.gap` says what that may cost. Memory grows with this
            times cuts and joints in one stitch.

    Source: label setting for the resource-constrained shortest path, Desrochers and Soumis 1988.
    """
    if isinstance(space, ListedSpace):
        listed = [Scored(each, space.cost(each).macs, scores.of(space, each)) for each in space]
        listed = [each for each in listed if budget is None or each.macs <= budget]
        listed.sort(key=lambda each: (each.macs, -each.score))
        return ScoredFront(tuple(listed[place] for place in _rising([each.score for each in listed])), 0.0)
    return _front_along_cuts(space, scores, budget, most_labels)


def best_predicted(space: StitchingSpace, scores: PathScores, budget: int) -> Scored:
    """The stitch with the highest score among those with at most ``budget`` MACs; see `scored_front`.

    Raises:
        StitchError: No stitch is as cheap.
    """
    return scored_front(space, scores, budget=budget).within(budget)


def _front_along_cuts(
    space: StitchingSpace, scores: PathScores, budget: int | None, most_labels: int
) -> ScoredFront:
    running, origins = RunningCosts(space), Origins(space.joints)
    entered = {(name, 0): Labels.start(run[0]).within(budget) for name, run in running.up_to.items()}
    ended: list[tuple[str, Labels]] = []
    gap = 0.0
    for joints in range(space.most_joints + 1):
        arriving: dict[tuple[str, int], list[tuple[Joint, Labels]]] = {}
        for name, outline in space.outlines.items():
            leaving: dict[int, list[Joint]] = {}
            for joint in running.leaving[name] if joints < space.most_joints else ():
                leaving.setdefault(joint.leave, []).append(joint)
            here = Labels.none()
            for cut, block in enumerate(outline.blocks):
                if (name, cut) in entered:
                    here = Labels.front([here, entered[name, cut]])
                here = here.moved(block.macs, scores.blocks[name][cut]).within(budget)
                for joint in leaving.get(cut + 1, ()):
                    there = here.moved(running.crossing[joint], scores.joints[joint]).within(budget)
                    arriving.setdefault((joint.end, joint.enter), []).append((joint, there))
            ended.append((name, here.moved(outline.head.macs, scores.ends[name]).within(budget)))
        widest = 0.0
        entered = {}
        for entry, arrivals in arriving.items():
            kept, lost = Labels.front([origins.mark(*each) for each in arrivals]).thinned(most_labels)
            entered[entry] = origins.keep(kept)
            widest = max(widest, lost)
        gap += widest  # a path is thinned once behind each joint
    return ScoredFront(tuple(_best_of(ended, space, origins)), gap)


def _best_of(
    ended: Sequence[tuple[str, Labels]], space: StitchingSpace, origins: Origins
) -> Iterator[Scored]:
    whole = [
        (int(macs), float(score), int(origin), name)
        for name, labels in ended
        for macs, score, origin in zip(*labels, strict=True)
    ]
    whole.sort(key=lambda each: (each[0], -each[1]))
    for place in _rising([score for _, score, _, _ in whole]):
        macs, score, origin, name = whole[place]
        path = origins.path(origin)
        stitch = space.through(path) if path else space.outlines[name].stitch
        yield Scored(stitch, macs, score)


def _rising(scores: Sequence[float]) -> list[int]:
    """Places of those that are above all before."""
    kept: list[int] = []
    for place, score in enumerate(scores):
        if not kept or score > scores[kept[-1]]:
            kept.append(place)
    return kept
