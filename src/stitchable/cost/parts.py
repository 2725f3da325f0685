"""Costs of an anchor's parts as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    Attributes:
        macs: Multiply-accumulates at batch 1 in eval mode, by the convention of `stitchable.cost.macs`.
        params: Number of learnable parameters held.
    """

    macs: int
    params: int


@dataclass(frozen=True)
class PartCost:
    """Cost of a stem, a block, a head or a stitching layer.

    Attributes:
        macs: Multiply-accumulates for one image.
        params: Pairs of a label and a number of learnable parameters. A parameter that several parts
            share keeps its own label in each of them, so that a union counts it once.
    """

    macs: int
    params: tuple[tuple[str, int], ...] = ()


def total(parts: Iterable[PartCost]) -> Cost:
    """Cost of running ``parts`` one after the other: MACs add up, shared params count once.

    Example:
        >>> total([PartCost(10, (("a", 3),)), PartCost(5, (("a", 3), ("b", 1)))])
        Cost(macs=15, params=4)
    """
    macs = 0
    held: dict[str, int] = {}
    for part in parts:
        macs += part.macs
        held.update(part.params)
    return Cost(macs, sum(held.values()))
