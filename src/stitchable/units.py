"""Counts, times and sizes as people write them: ``1.26 GMACs`` from a number, and a number from ``1.2G``."""

from __future__ import annotations

import re
from decimal import Decimal

from stitchable.errors import StitchError

_PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?)\s*"
_COUNT = re.compile(_NUMBER + r"([kKmMgGtT]?)")
_TIME = re.compile(_NUMBER + r"(us|µs|μs|ms|s)")
_MILLISECONDS = {"us": Decimal("0.001"), "µs": Decimal("0.001"), "μs": Decimal("0.001"), "ms": 1, "s": 1000}
_SIZE = re.compile(_NUMBER + r"([kKmMgGtT]?)(i?)[bB]?")


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


def format_milliseconds(value: float) -> str:
    """A time with the unit that leaves one to three digits before the point.

    Args:
        value: The time in milliseconds.

    Example:
        >>> format_milliseconds(8.094), format_milliseconds(0.0853), format_milliseconds(1234)
        ('8.09 ms', '85.3 µs', '1.23 s')
    """
    scaled, unit = (
        (value * 1000, "µs") if value < 0.99995 else (value, "ms") if value < 999.95 else (value / 1000, "s")
    )
    return f"{scaled:.{2 if scaled < 9.995 else 1}f} {unit}"


def parse_milliseconds(text: str) -> float:
    """Read a time such as ``8ms``, ``0.5s`` or ``800us``, in milliseconds.

    Raises:
        StitchError: The text is not a number that is not negative, with one of these units.

    Example:
        >>> parse_milliseconds("8ms"), parse_milliseconds("0.5 s"), parse_milliseconds("800us")
        (8.0, 500.0, 0.8)
        >>> parse_milliseconds("8")
        Traceback (most recent call last):
        stitchable.errors.StitchError: '8' is not a time. Write a number that is not negative with its unit \
us, ms or s: 800us, 8ms, 0.5s.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None or match[1].startswith("-"):
        raise StitchError(
            f"{text!r} is not a time. Write a number that is not negative with its unit us, ms or s: 800us, "
            "8ms, 0.5s."
        )
    return float(Decimal(match[1]) * _MILLISECONDS[match[2]])


def parse_bytes(text: str) -> int:
    """Read a size in bytes such as ``300MB``, ``1.2GiB`` or ``300000000``.

    k, M, G and T are powers of 1000, Ki, Mi, Gi and Ti of 1024, in either case; the B may be left out.

    Raises:
        StitchError: The text is not such a size, or it is negative.

    Example:
        >>> parse_bytes("300MB"), parse_bytes("1.2GiB"), parse_bytes("512 kib")
        (300000000, 1288490189, 524288)
        >>> parse_bytes("lots")
        Traceback (most recent call last):
        stitchable.errors.StitchError: 'lots' is not a size. Write a number of bytes that is not negative, \
alone or with k, M, G, T, Ki, Mi, Gi or Ti: 300MB, 1.2GiB.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[1].startswith("-") or (match[3] and not match[2]):
        raise StitchError(
            f"{text!r} is not a size. Write a number of bytes that is not negative, alone or with k, M, G, "
            "T, Ki, Mi, Gi or Ti: 300MB, 1.2GiB."
        )
    power = " kmgt".index(match[2].lower() or " ")
    return round(Decimal(match[1]) * (1024 if match[3] else 1000) ** power)
