"""Rules: which block of a front anchor may be followed by which block of an end anchor.

A rule speaks of one stage of two anchors. It returns groups of pairs ``(j, k)``: the front runs its
blocks up to and including ``j``, the end anchor runs from its block ``k``. The pairs of one group share
one stitching layer. Block ids count from 0 inside the stage.
"""

from __future__ import annotations

from stitchable.errors import StitchError

Pairs = list[tuple[int, int]]


def paired(depth: int, *, kernel: int = 2, stride: int = 1, ascending: bool = False) -> list[Pairs]:
    """Sliding windows over two anchors of equal depth.

    In each window of ``kernel`` consecutive block ids every ordered pair that no earlier window took is
    taken; a window that brings a new pair owns one stitching layer. The last windows may hang over the
    end.

    Args:
        depth: Number of blocks of either anchor.
        kernel: Width of the window in blocks.
        stride: Step of the window in blocks.
        ascending: Take only ``j < k``, as hierarchical anchors need: their stages start with a
            down-sampling that must not be entered from inside the stage.

    Source: Pan et al. 2023, section 3.3.

    Example:
        >>> paired(3)
        [[(0, 0), (0, 1), (1, 0), (1, 1)], [(1, 2), (2, 1), (2, 2)]]
    """
    if kernel < 1 or stride < 1:
        raise StitchError(f"Got kernel {kernel} and stride {stride}; both must be at least 1.")
    taken: set[tuple[int, int]] = set()
    groups = []
    for start in range(0, depth, stride):
        window = range(start, min(start + kernel, depth))
        pairs = [(j, k) for j in window for k in window if (j, k) not in taken and (j < k or not ascending)]
        taken.update(pairs)
        if pairs:
            groups.append(pairs)
    return groups


def unpaired(front_depth: int, end_depth: int) -> list[Pairs]:
    """Nearest front block for every end block, for a front that is shallower than the end anchor.

    End block ``i`` follows front block ``m = ⌊i · front_depth / end_depth⌋`` where ``m < i``. One layer
    per front block.

    Source: Pan et al. 2023, section 3.3.

    Example:
        >>> unpaired(2, 4)
        [[(0, 1)], [(1, 2), (1, 3)]]
    """
    groups: dict[int, Pairs] = {}
    for end in range(end_depth):
        front = end * front_depth // end_depth
        if front < end:
            groups.setdefault(front, []).append((front, end))
    return list(groups.values())


def descending(front_depth: int, end_depth: int) -> list[Pairs]:
    """From a deep front into a shallower or equally deep end anchor, at equal relative depth.

    End block ``k ≥ 1`` follows the last front block ``i`` with ``⌊i · end_depth / front_depth⌋ + 1 = k``.
    One layer per position. For depths 24 and 12 these are the odd front blocks.

    Source: the large-to-small half of two-way stitching, Pan et al. 2023 (SN-Netv2).

    Example:
        >>> descending(6, 3)
        [[(1, 1)], [(3, 2)]]
    """
    last = {front * end_depth // front_depth + 1: front for front in range(front_depth)}
    return [[(front, end)] for end, front in sorted(last.items()) if end < end_depth]


def climbing(front_depth: int, end_depth: int) -> list[Pairs]:
    """From a shallow front into a deeper or equally deep end anchor, at equal relative depth.

    After front block ``i`` follows end block ``(end_depth // front_depth) · (i + 1)``. One layer per
    position.

    Source: the small-to-large half of two-way stitching, Pan et al. 2023 (SN-Netv2).

    Example:
        >>> climbing(3, 6)
        [[(0, 2)], [(1, 4)]]
    """
    ratio = end_depth // front_depth
    return [[(front, ratio * (front + 1))] for front in range(front_depth - 1)]
