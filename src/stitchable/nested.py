"""Nested settings by dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, with the names that lead to it.

    Example:
        >>> list(dotted({"seed": 0, "train": {"lr": 0.1, "sampler": {"kind": "uniform"}}}))
        [('seed', 0), ('train.lr', 0.1), ('train.sampler.kind', 'uniform')]
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
