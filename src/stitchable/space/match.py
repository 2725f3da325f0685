"""Which stages of two anchors are joined: those of one number, or those of one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, product
from typing import Literal, NamedTuple

from stitchable.errors import StitchError
from stitchable.space.outline import Outline


class Match(NamedTuple):
    """Blocks of a front anchor and blocks of an end anchor that are joined with each other.

    Attributes:
        stage: Stage of the front's first block here.
        front: Ids of the front's blocks, in order.
        end: Ids of the end anchor's blocks, in order.
    """

    stage: int
    front: range
    end: range


def match_stages(
    front: Outline,
    end: Outline,
    *,
    by: Literal["auto", "stage", "grid"] = "auto",
    stages: Sequence[int] | None = None,
) -> tuple[Match, ...]:
    """Match the stages of two anchors.

    Args:
        front: The anchor that is left.
        end: The anchor that is entered.
        by: ``"stage"``: stages of equal number. ``"grid"``: runs of stages with equal grids behind their
            blocks; where no two grids are equal, the two that are most alike. ``"auto"``: by stage where
            both have equally many.
        stages: Stages of the front to keep; ``None`` keeps all, but for the last where both anchors are
            hierarchical (have several stages).

    Returns:
        Matches in the order of the front's stages.

    Raises:
        StitchError: A stage that the anchors do not have in common.

    Source: Pan et al. 2023, section 3.3, for stages and their last one.
    """
    if by == "auto":
        by = "stage" if front.stage_count == end.stage_count else "grid"
    matches = _by_stage(front, end) if by == "stage" else _by_grid(front, end)
    if stages is None:
        if min(front.stage_count, end.stage_count) == 1:
            return tuple(matches)
        last = front.depth, end.depth
        return tuple(match for match in matches if (match.front.stop, match.end.stop) != last)
    common = [match.stage for match in matches]
    for stage in stages:
        if stage not in common:
            raise StitchError(
                f"Got stage {stage}; {front.name} can be left for {end.name} in "
                f"{'stage' if len(common) == 1 else 'the stages'} {', '.join(map(str, common))}."
            )
    return tuple(match for match in matches if match.stage in stages)


def _by_stage(front: Outline, end: Outline) -> list[Match]:
    common = min(front.stage_count, end.stage_count)
    return [Match(stage, front.stage_blocks(stage), end.stage_blocks(stage)) for stage in range(common)]


def _by_grid(front: Outline, end: Outline) -> list[Match]:
    def grid(outline: Outline, block: int) -> tuple[int, int]:
        return outline.features[block + 1].grid

    def levels(outline: Outline) -> list[range]:
        """Runs of blocks with one grid behind them."""
        runs = groupby(range(outline.depth), key=lambda block: grid(outline, block))
        return [range(blocks[0], blocks[-1] + 1) for blocks in (list(run) for _, run in runs)]

    def unlike(pair: tuple[range, range]) -> float:
        return _unlike(grid(front, pair[0][0]), grid(end, pair[1][0]))

    pairs = list(product(levels(front), levels(end)))
    chosen = [pair for pair in pairs if unlike(pair) == 0] or [min(pairs, key=unlike)]
    return [Match(front.stages[a[0]], a, b) for a, b in chosen]


def _unlike(a: tuple[int, int], b: tuple[int, int]) -> float:
    return abs(math.log(a[0] / b[0])) + abs(math.log(a[1] / b[1]))
