"""Reassembled networks as paths in the graph of cuts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

from stitchable.errors import StitchError, nearest
from stitchable.reassembly.parts import ModelPart, Partition
from stitchable.reassembly.slots import Order, Positions, Slots
from stitchable.space.joint import Joint
from stitchable.space.outline import Outline
from stitchable.space.prune import LARGEST_LIST, ListedSpace
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Segment, Stitch


def reassembly_space(
    outlines: Sequence[Outline],
    partition: Partition,
    *,
    order: Order = "cnn_first",
    positions: Positions = "own",
) -> StitchingSpace:
    """The networks that can be made of a partition's parts, K in a row, as a stitching space.

    Its paths are these and the anchors, no others. Two neighbouring parts of one anchor run on without a
    joint; every joint has a stitching layer of its own, between features that are given by the specs alone.
    Anchors are in the order of their MACs.

    Args:
        outlines: The anchors of the partition.
        partition: Its parts and sets.
        order: ``"cnn_first"``: no part of a CNN behind one of a transformer, see `slots.is_transformer`.
            ``"any"``: any order; features of all kinds can be joined.
        positions: ``"own"``: place k takes the k-th part of any anchor. ``"sets"``: place k takes any part of
            the k-th equivalence set, at the first place such as have a stem, at the last such as have a head.
            An anchor is in the space even where its own parts do not stand in the order of the sets.

    Returns:
        A graph of any size; for ``"sets"`` a list where joints alone would allow more than the sets do.

    Raises:
        StitchError: The partition is of other anchors, the sets leave no new network, or too many that
            would have to be listed.

    Source: Yang et al. 2022 (DeRy).
    """
    for word, allowed in ((order, get_args(Order)), (positions, get_args(Positions))):
        if word not in allowed:
            raise StitchError(f"Got {word!r} for a reassembly space. {nearest(word, allowed)}")
    _check_anchors(partition, outlines)
    anchors = sorted(outlines, key=lambda outline: outline.cost.macs)
    by_name = {outline.name: outline for outline in anchors}
    slots = Slots(by_name, partition, order=order, positions=positions)
    space = StitchingSpace(anchors, _joints(slots), most_joints=partition.count - 1)
    if not space.joints:
        raise StitchError(
            f"Nothing new can be made of the parts of {', '.join(by_name)} with order: {order} and "
            f"positions: {positions}. Allow more (any, own), or add anchors."
        )
    alone = {_stitch(parts) for parts in _anchors_in_parts(partition) if _is_way(slots, parts)}
    # Every reassembly is a path over these joints, so counting tells whether there are other paths.
    if space.count == slots.count + len(anchors) - len(alone):
        return space
    if slots.count > LARGEST_LIST:
        raise StitchError(
            f"{slots.count:,} reassemblies cannot be listed, which these sets need; {LARGEST_LIST:,} can. "
            "Use positions: own, or a smaller zoo."
        )
    return ListedSpace(space, (_stitch(parts) for parts in slots))


def _check_anchors(partition: Partition, outlines: Sequence[Outline]) -> None:
    cut = sorted(f"{name} with {cuts[-1]} blocks" for name, cuts in partition.cuts.items())
    got = sorted(f"{each.name} with {each.depth} blocks" for each in outlines)
    if cut != got:
        raise StitchError(
            f"The partition is of {', '.join(cut)}; got {', '.join(got)}. Partition these anchors."
        )


def _joints(slots: Slots) -> list[Joint]:
    return [
        Joint(part.anchor, part.stop, after.anchor, after.start, _layer(part, after))
        for place in slots.follow
        for part, ways in place.items()
        for after in ways
        if part.anchor != after.anchor
    ]


def _layer(part: ModelPart, after: ModelPart) -> str:
    return f"{part.anchor}>{after.anchor}:{part.stop}-{after.start}"


def _stitch(parts: Sequence[ModelPart]) -> Stitch:
    """The path through some parts: neighbours of one anchor are one segment."""
    segments: list[Segment] = []
    for part in parts:
        start = part.start
        if segments and segments[-1].anchor == part.anchor:
            start = segments.pop().start
        segments.append(Segment(part.anchor, start, part.stop))
    return Stitch(tuple(segments))


def _anchors_in_parts(partition: Partition) -> list[list[ModelPart]]:
    return [[part for part in partition.parts if part.anchor == name] for name in partition.cuts]


def _is_way(slots: Slots, parts: Sequence[ModelPart]) -> bool:
    steps = zip(slots.follow, pairwise(parts), strict=True)
    return all(after in place.get(part, ()) for place, (part, after) in steps)
