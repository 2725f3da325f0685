"""The axes along which a stitch costs something: how each is read, compared and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal

from stitchable.errors import StitchError, nearest
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCosts
from stitchable.units import format_count, format_milliseconds, parse_bytes, parse_count, parse_milliseconds

Percentile = Literal["p50", "p95"]


def rounded(value: float, way: str) -> str:
    """A number with four decimals at most, rounded one way, so that it holds as a limit.

    Example:
        >>> from decimal import ROUND_FLOOR
        >>> rounded(1234.56781, ROUND_CEILING), rounded(1234.56789, ROUND_FLOOR), rounded(7.0, ROUND_CEILING)
        ('1234.5679', '1234.5678', '7')
    """
    return f"{Decimal(repr(float(value))).quantize(Decimal('0.0001'), way):f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Axis:
    """One kind of cost.

    Attributes:
        name: That of its option, such as ``"latency"``.
        key: Its name in files, with the unit where there is one, such as ``"latency_ms"``.
        on_device: Whether a profile says what a stitch costs, and not the curve.
        show: Writes a cost for reading.
        spell: Writes it as ``parse`` reads it, never rounded down: as a budget it holds the cost.
        parse: Reads what the user gives.
    """

    name: str
    key: str
    on_device: bool
    show: Callable[[float], str]
    spell: Callable[[float], str]
    parse: Callable[[str], float]


AXES = {
    axis.name: axis
    for axis in (
        Axis(
            "macs",
            "macs",
            False,
            lambda cost: format_count(cost, "MACs"),
            lambda cost: f"{cost:.0f}",
            lambda text: parse_count(text, "MACs"),
        ),
        Axis(
            "params",
            "params",
            False,
            lambda cost: format_count(cost, "params"),
            lambda cost: f"{cost:.0f}",
            lambda text: parse_count(text, "params"),
        ),
        Axis(
            "latency",
            "latency_ms",
            True,
            format_milliseconds,
            lambda cost: f"{rounded(cost, ROUND_CEILING)}ms",
            parse_milliseconds,
        ),
        Axis(
            "memory",
            "memory_bytes",
            True,
            lambda cost: format_count(cost, "B"),
            lambda cost: f"{cost:.0f}",
            parse_bytes,
        ),
    )
}
"""By name: MACs per image and parameters, of the curve; milliseconds and bytes per batch, of a profile."""


def axis_named(name: str) -> Axis:
    """The axis of a name.

    Raises:
        StitchError: There is none.
    """
    if name not in AXES:
        raise StitchError(f"There is no cost {name!r}. {nearest(name, AXES)}")
    return AXES[name]


@dataclass(frozen=True)
class PricedRow:
    """A row of the curve with all that is known of its costs.

    Attributes:
        row: The row.
        costs: By the name of the axis; those of a device are absent where it was not profiled.
    """

    row: CurveRow
    costs: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Stitch, accuracy, images and costs as plain data."""
        row = self.row
        return {
            "stitch": row.stitch,
            "top1": row.top1,
            "top1_low": row.top1_low,
            "top1_high": row.top1_high,
            "images": row.images,
            **keyed(self.costs),
        }


def keyed(costs: Mapping[str, float]) -> dict[str, float]:
    """Costs under the keys that files use."""
    return {AXES[name].key: cost for name, cost in costs.items()}


def price(
    rows: Sequence[CurveRow], device: DeviceCosts | None = None, *, percentile: Percentile = "p50"
) -> list[PricedRow]:
    """Put costs to rows, in their order.

    Args:
        rows: A curve.
        device: What stitches cost under one condition; without it only MACs and parameters are known.
        percentile: Which latency counts.
    """
    priced = []
    for row in rows:
        costs: dict[str, float] = {"macs": row.macs, "params": row.params}
        measured = None if device is None else device.stitches.get(row.stitch)
        if measured is not None:
            costs["latency"] = measured.p50_ms if percentile == "p50" else measured.p95_ms
            costs["memory"] = measured.memory_bytes
        priced.append(PricedRow(row, costs))
    return priced
