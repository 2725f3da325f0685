"""Counts as people write them: ``1.26 GMACs`` from a number, and a number from ``1.2G``."""

from __future__ import annotations

import re
from decimal import Decimal

from stitchable.errors import StitchError

_PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_COUNT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?)\s*([kKmMgGtT]?)")


def prefix_for(value: float) -> tuple[str, int]:
    """SI prefix that leaves one to three digits before the point, and its factor.

    Example:
        >>> prefix_for(126_800_000)
        ('M', 1000000)
        >>> prefix_for(12)
        ('', 1)
    """
    fitting = [(prefix, factor) for prefix, factor in _PREFIXES.items() if abs(value) >= factor]
    return fitting[-1] if fitting else ("", 1)


def format_count(value: float, unit: str = "") -> str:
    """A count with an SI prefix: two decimals below 10, one above, none below 1000.

    Args:
        value: The count, in units (not thousands).
        unit: What is counted, such as ``"MACs"``; it stands behind a space with its prefix.

    Returns:
        The text; without ``unit`` the prefix follows the number directly, as `parse_count` reads it.

    Example:
        >>> format_count(1_258_300_000, "MACs")
        '1.26 GMACs'
        >>> format_count(41_200_000, "MACs"), format_count(126_800_000, "MACs")
        ('41.2 MMACs', '126.8 MMACs')
        >>> format_count(272_474), format_count(999_999), format_count(512, "MACs")
        ('272.5k', '1.00M', '512 MACs')
    """
    prefix, factor = prefix_for(value)
    if factor > 1 and round(abs(value) / factor, 1) >= 1000:
        prefix, factor = prefix_for(factor * 1000)
    scaled = value / factor
    decimals = 0 if factor == 1 else 2 if abs(scaled) < 9.995 else 1
    number = f"{scaled:.{decimals}f}"
    return f"{number} {prefix}{unit}" if unit else f"{number}{prefix}"


def format_points(change: float) -> str:
    """A difference of two percentages, in percentage points, with its sign.

    Example:
        >>> format_points(-0.152), format_points(0.3), format_points(-0.001)
        ('−0.15', '+0.30', '±0.00')
    """
    sign = "±" if abs(change) < 0.005 else "+" if change > 0 else "−"
    return f"{sign}{abs(change):.2f}"


def parse_count(text: str, unit: str = "") -> int:
    """Read a count such as ``1.2G``, ``800k``, ``1.2e9`` or ``83000000``.

    Args:
        text: The number, plain or scientific, with one of the prefixes k, M, G, T in either case.
        unit: A word that may stand behind, such as ``"MACs"``, so that printed costs read back.

    Returns:
        The nearest whole number; the arithmetic is exact.

    Raises:
        StitchError: The text is not such a number, or it is negative.

    Example:
        >>> parse_count("1.2G"), parse_count("800k"), parse_count("1.2e9")
        (1200000000, 800000, 1200000000)
        >>> parse_count("83.0 MMACs", "MACs")
        83000000
        >>> parse_count("1,2G")
        Traceback (most recent call last):
        stitchable.errors.StitchError: '1,2G' is not a count. Write a number that is not negative, plain or \
scientific, alone or with k, M, G or T: 800k, 1.2G, 1.2e9.
    """
    number = text.strip()
    if unit and number.lower().endswith(unit.lower()):
        number = number[: -len(unit)].rstrip()
    match = _COUNT.fullmatch(number)
    if match is None or match[1].startswith("-"):
        raise StitchError(
            f"{text!r} is not a count. Write a number that is not negative, plain or scientific, alone or "
            "with k, M, G or T: 800k, 1.2G, 1.2e9."
        )
    letter = match[2].lower()
    return round(Decimal(match[1]) * _PREFIXES[letter if letter in ("", "k") else letter.upper()])
