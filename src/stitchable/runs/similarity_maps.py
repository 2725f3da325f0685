"""Similarities of all pairs of cuts of several anchors, in one pass over some images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import torch
from torch import Tensor

from stitchable.anchors.anchor import Anchor
from stitchable.device import sums_device
from stitchable.errors import StitchError
from stitchable.feature import Cut
from stitchable.initialization.fit import cut_features
from stitchable.modes import evaluating
from stitchable.ranks import ALONE, Ranks
from stitchable.report.similarity_result import SimilarityMap
from stitchable.runs.similarity_options import SimilarityOptions
from stitchable.similarity.pair import Measure, PairSimilarity
from stitchable.similarity.sums import SimilaritySums
from stitchable.space.alike import alike_joints, front_end_pairs
from stitchable.space.joint import Joint
from stitchable.space.outline import Outline


@torch.no_grad()
def similarity_maps(
    anchors: Mapping[str, Anchor],
    batches: Iterable[Tensor],
    options: SimilarityOptions,
    *,
    on_batch: Callable[[int], None] | None = None,
    ranks: Ranks = ALONE,
) -> tuple[list[SimilarityMap], int]:
    """Compare all cuts of every two anchors; each anchor runs once per batch, in eval mode.

    Args:
        anchors: By name, on one device; modes are restored.
        batches: Normalised images ``(batch, channels, rows, columns)``, this process's; none is kept.
        options: Which measures, of which rows, in how many groups of images, and whether each anchor is
            compared with itself too.
        on_batch: Called with the number of images after each batch, of whichever process.
        ranks: The processes that share the batches; all get the same answer.

    Returns:
        By two anchors, the cheaper one first, then by measure: the maps; and the number of images.

    Raises:
        StitchError: No images came, or too few, or a measure that these rows do not allow.
    """
    outlines = [anchor.outline for anchor in anchors.values()]
    pairs = front_end_pairs(outlines)
    if options.within:
        pairs += [(outline, outline) for outline in outlines]
    device = next(next(iter(anchors.values())).parameters()).device
    sums = SimilaritySums(
        {outline.name: outline.features for outline in outlines},
        [cuts for front, end in pairs for row in _cuts(front, end) for cuts in row],
        rows=options.rows,
        measures=options.measure_list,
        groups=options.groups,
        device=sums_device(device),
    )

    def seen() -> Iterator[int]:
        for number, batch in enumerate(batches):
            features = cut_features(anchors, sums.cuts, batch.to(device))
            # Groups of images, and so the intervals, do not depend on the number of processes.
            sums.update(features, number=ranks.rank + number * ranks.count)
            yield len(batch)

    images = 0
    with ExitStack() as stack:
        for anchor in anchors.values():
            stack.enter_context(evaluating(anchor))
        for count in ranks.in_turn(seen()):
            images += count
            if on_batch:
                on_batch(count)
    if images == 0:
        raise StitchError("Similarity saw no images. Give at least one batch.")
    sums.merge(ranks)
    found = {(each.measure, each.front, each.end): each for each in sums.values()}
    maps = []
    for front, end in pairs:
        for measure in options.measure_list:
            cells = [tuple(found[(measure, *cuts)] for cuts in row) for row in _cuts(front, end)]
            maps.append(
                SimilarityMap(measure, front.name, end.name, _stages(front), _stages(end), tuple(cells))
            )
    return maps, images


def _cuts(front: Outline, end: Outline) -> list[list[tuple[Cut, Cut]]]:
    """All pairs of cuts: a row per cut of the front."""
    return [
        [((front.name, leave), (end.name, enter)) for enter in range(end.depth + 1)]
        for leave in range(front.depth + 1)
    ]


def _stages(outline: Outline) -> tuple[int, ...]:
    return tuple(spec.stage for spec in outline.features)


def choose_joints(
    maps: Sequence[SimilarityMap], outlines: Mapping[str, Outline]
) -> tuple[list[SimilarityMap], list[Joint]]:
    """The joints that the first measure chooses, and the maps with what each of them would choose.

    Maps of an anchor with itself choose nothing.
    """
    marked, chosen = [], []
    for each in maps:
        if each.front == each.end:
            marked.append(each)
            continue
        values = {(cell.front, cell.end): cell.value for row in each.cells for cell in row}
        joints = list(alike_joints(outlines[each.front], outlines[each.end], values))
        marked.append(replace(each, chosen=frozenset((joint.leave, joint.enter) for joint in joints)))
        if each.measure == maps[0].measure:
            chosen += joints
    return marked, chosen


def similarity_at(
    maps: Sequence[SimilarityMap], measure: Measure, joints: Iterable[Joint]
) -> dict[Joint, PairSimilarity]:
    """What one measure says of some joints."""
    cells = {(each.front, each.end): each.cells for each in maps if each.measure == measure}
    return {joint: cells[joint.front, joint.end][joint.leave][joint.enter] for joint in joints}
