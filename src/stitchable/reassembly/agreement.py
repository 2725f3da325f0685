"""How far two partitions of one zoo agree."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from stitchable.errors import StitchError
from stitchable.reassembly.parts import Partition


def partition_agreement(a: Partition, b: Partition) -> float:
    """Adjusted Rand index of two partitions: every block of every anchor is labelled by its part's set.

    So partitions with other cuts, or another number of parts, can be compared.

    Returns:
        1 for equal sets, however they are numbered; about 0 for sets that have no more to do with each other
        than by chance.

    Raises:
        StitchError: They are not of the same anchors.
    """
    ours, theirs = ({name: cuts[-1] for name, cuts in each.cuts.items()} for each in (a, b))
    if ours != theirs:
        one, other = (
            ", ".join(f"{name} with {depth} blocks" for name, depth in each.items())
            for each in (ours, theirs)
        )
        raise StitchError(f"Got partitions of {one}, and of {other}; compare two of one zoo.")
    labels, others = _set_by_block(a), _set_by_block(b)
    return adjusted_rand_index(list(labels.values()), [others[block] for block in labels])


def _set_by_block(partition: Partition) -> dict[tuple[str, int], int]:
    return {
        (part.anchor, block): partition.sets[part]
        for part in partition.parts
        for block in range(part.start, part.stop)
    }


def adjusted_rand_index(labels: Sequence[Hashable], others: Sequence[Hashable]) -> float:
    """Rand index of two labellings of the same items, corrected for chance.

    Args:
        labels: One for each item.
        others: Those of the other labelling, in the same order.

    Returns:
        1 for the same groups; about 0 for groups by chance, below it for such as agree less. Where chance
        alone gives 1 (one group, or each item by itself, in both), 1.

    Raises:
        StitchError: Labellings of unequal length.

    Source: Hubert and Arabie 1985.

    Example:
        >>> adjusted_rand_index("aabb", "xxyy")
        1.0
        >>> adjusted_rand_index("aabb", "xyxy")
        -0.5
    """
    if len(labels) != len(others):
        raise StitchError(f"Got {len(labels)} and {len(others)} labels; give one of each for every item.")
    rows, columns = (list(dict.fromkeys(each)) for each in (labels, others))
    table = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for row, column in zip(map(rows.index, labels), map(columns.index, others), strict=True):
        table[row, column] += 1

    def pairs(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> int:
        return int((counts * (counts - 1) // 2).sum())

    together = pairs(table)
    one, other = pairs(table.sum(1)), pairs(table.sum(0))
    every = len(labels) * (len(labels) - 1) // 2
    by_chance = one * other
    most = every * (one + other) / 2
    return 1.0 if most == by_chance else (every * together - by_chance) / (most - by_chance)
