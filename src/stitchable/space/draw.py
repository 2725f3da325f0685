"""Random choices that depend on nothing but their arguments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import TypeVar

T = TypeVar("T")


def uniform_index(count: int, *key: int | str) -> int:
    """Uniform draw from ``range(count)``, a pure function of ``key``.

    A 256-bit hash of the key, reduced modulo ``count``: exact on every platform and version, of any
    size, with no generator whose state would have to be saved. The bias is below ``count / 2²⁵⁶``.

    Example:
        >>> [uniform_index(71, 0, step) for step in range(4)]
        [60, 51, 46, 10]
    """
    digest = blake2b("/".join(str(part) for part in key).encode(), digest_size=32).digest()
    return int.from_bytes(digest, "big") % count


def permuted_index(count: int, place: int, *key: int | str) -> int:
    """Entry ``place`` of a random order of ``range(count)``, which is a pure function of ``key``.

    Nothing is listed, so ``count`` may be of any size: a Feistel network of the key's hashes permutes the
    numbers of the next even number of bits, and is asked again for as long as it leaves the range.

    Source: Black and Rogaway 2002, cycle walking.

    Example:
        >>> [permuted_index(7, place, "order", 0) for place in range(7)]
        [1, 5, 4, 3, 2, 6, 0]
    """
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    while True:
        high, low = place >> half, place & ((1 << half) - 1)
        for turn in range(8):
            high, low = low, high ^ uniform_index(1 << half, *key, turn, low)
        place = high << half | low
        if place < count:
            return place


def weighted_index(weights: Sequence[float], *key: int | str) -> int:
    """Draw from ``range(len(weights))`` in proportion to the weights, a pure function of these and ``key``.

    Example:
        >>> [weighted_index([1.0, 0.0, 2.0], 1, step) for step in range(6)]
        [2, 2, 0, 2, 2, 2]
    """
    return index_at(weights, uniform_index(2**53, *key) / 2**53)


def index_at(weights: Sequence[float], point: float) -> int:
    """Where a point of [0, 1) falls if it is cut into pieces as long as the weights say.

    Example:
        >>> [index_at([1.0, 0.0, 3.0], point) for point in (0.0, 0.249, 0.25, 0.999)]
        [0, 0, 2, 2]
    """
    ends = list(accumulate(weights))
    return bisect_right(ends, point * ends[-1], hi=len(ends) - 1)


def distinct(draw: Callable[[int], T], number: int, *, taken: Sequence[T] = ()) -> list[T]:
    """The first ``number`` results of ``draw(0)``, ``draw(1)`` … that differ from each other and ``taken``.

    Of uniform draws this is a uniform choice without replacement.

    Args:
        draw: Must be able to give as many.
        number: How many.
        taken: What is not to come again.
    """
    chosen = dict.fromkeys(taken)
    attempt = 0
    while len(chosen) < len(taken) + number:
        chosen.setdefault(draw(attempt))
        attempt += 1
    return list(chosen)[len(taken) :]
