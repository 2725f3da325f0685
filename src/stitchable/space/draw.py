"""Random choices that depend on nothing but their arguments."""

from __future__ import annotations

from hashlib import blake2b


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
