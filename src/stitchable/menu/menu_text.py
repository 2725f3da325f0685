"""A menu in words."""

from __future__ import annotations

from stitchable.menu.axis import AXES
from stitchable.menu.gaps import Gap
from stitchable.menu.menu_file import Menu, MenuEntry
from stitchable.menu.pick_text import describe_comparison
from stitchable.units import format_points

_GROUNDS = {
    "paired": "McNemar's test on the same images",
    "intervals": "Wilson's intervals, which do not overlap",
}
_COLUMNS = ("stitch", "cost", "top-1", "gain", "")


def menu_table(menu: Menu) -> list[str]:
    """The entries as lines of a plain table, as wide as it has to be."""
    cells = [_COLUMNS, *(_cells(each, menu.axis) for each in menu.entries)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if 0 < at < 4 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _cells(each: MenuEntry, axis: str) -> tuple[str, ...]:
    half = (each.top1_high - each.top1_low) / 2
    remarks = [f"anchor {each.anchor}"] if each.anchor else []
    remarks += [] if each.on_front else ["off the front"]
    gain = ""
    if each.gain is not None:
        gain = format_points(each.gain.points)
        if each.gain.low is not None and each.gain.high is not None:
            gain += f" ({format_points(each.gain.low)} to {format_points(each.gain.high)})"
        remarks += [] if each.gain.surely and each.gain.points > 0 else ["not surely better"]
    return (
        each.stitch,
        AXES[axis].show(each.cost),
        f"{each.top1:.2f} % ± {half:.2f}",
        gain,
        ", ".join(remarks),
    )


def describe_menu(menu: Menu) -> list[str]:
    """What the menu stands for and where nothing is worth having, a line each."""
    show = AXES[menu.axis].show
    lines = [
        f"{len(menu.entries)} of {menu.cloud} stitches, {menu.front} of which lie on the front of top-1 "
        f"against {menu.axis}, on {menu.entries[0].images:,} images",
        f"each surely better than the one before, unless marked: {_GROUNDS[menu.basis]}, "
        f"{100 * menu.confidence:g} % each",
        f"from {show(menu.entries[0].cost)} up a budget loses at most {menu.largest_loss:.2f} points against "
        f"the best of all, {menu.mean_loss:.2f} on average",
    ]
    if menu.condition is not None:
        lines.append(f"{menu.percentile} latency on {menu.condition}")
    return [*lines, *(describe_gap(gap, menu.axis) for gap in menu.gaps), *menu.notes]


def describe_gap(gap: Gap, axis: str) -> str:
    """A gap in words.

    Example:
        >>> describe_gap(Gap(55e6, 82e6, "small[0:9]", 91.7, "big[0:9]", None, None), "macs")
        'between 55.0 MMACs and 82.0 MMACs nothing is better than small[0:9] (91.70 %)'
    """
    show = AXES[axis].show
    place = f"between {show(gap.low)} and {show(gap.high)}"
    if gap.next_stitch is None:
        place = f"above {show(gap.low)}, up to the dearest at {show(gap.high)},"
    if gap.best_stitch is None or gap.best_gain is None:
        return f"{place} nothing is better than {gap.stitch} ({gap.top1:.2f} %)"
    found = describe_comparison(gap.best_gain)
    return (
        f"{place} nothing is surely better than {gap.stitch} ({gap.top1:.2f} %); the best measured there is "
        f"{gap.best_stitch}, {found}"
    )
