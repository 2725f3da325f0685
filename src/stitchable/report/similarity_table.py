"""A map of similarities as a table whose cells are coloured and hold their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from stitchable.report.similarity_result import SimilarityMap
from stitchable.similarity.pair import PairSimilarity


@dataclass(frozen=True)
class Cell:
    """One pair of cuts.

    Attributes:
        text: The value with two digits, without the 0 before the point.
        told: The cuts, the value and its interval, as a line.
        shade: How strongly it is coloured, 0 to 100.
        marks: CSS classes: ``left`` and ``top`` where a stage begins, ``chosen`` for a joint.
    """

    text: str
    told: str
    shade: int
    marks: str


@dataclass(frozen=True)
class Row:
    """All cells of one cut of the front.

    Attributes:
        cut: Its number.
        stage: The number of its stage and of the cuts in that, where the stage begins here.
        cells: By cut of the end anchor.
    """

    cut: int
    stage: tuple[int, int] | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class MapTable:
    """The table.

    Attributes:
        found: What it shows.
        stages: Number and length of the end anchor's stages, over the columns.
        rows: From the front's first cut on.
    """

    found: SimilarityMap
    stages: tuple[tuple[int, int], ...]
    rows: tuple[Row, ...]


def map_table(found: SimilarityMap) -> MapTable:
    """Lay out one map."""
    columns, rows = dict(stage_runs(found.end_stages)), dict(stage_runs(found.front_stages))
    return MapTable(
        found,
        tuple((found.end_stages[first], size) for first, size in columns.items()),
        tuple(
            Row(
                cut,
                (found.front_stages[cut], rows[cut]) if cut in rows else None,
                tuple(
                    _cell(each, _marks(found, cut, column, left=column in columns, top=cut in rows))
                    for column, each in enumerate(cells)
                ),
            )
            for cut, cells in enumerate(found.cells)
        ),
    )


def _marks(found: SimilarityMap, cut: int, column: int, *, left: bool, top: bool) -> str:
    marks = {"left": left and column > 0, "top": top and cut > 0, "chosen": (cut, column) in found.chosen}
    return " ".join(mark for mark, given in marks.items() if given)


def _cell(each: PairSimilarity, marks: str) -> Cell:
    told = f"{each.front[0]} cut {each.front[1]}, {each.end[0]} cut {each.end[1]}: {with_interval(each)}"
    if "chosen" in marks:
        told += ", chosen"
    return Cell(short(each.value), told, round(100 * min(max(each.value, 0.0), 1.0)), marks)


def short(value: float) -> str:
    """Two digits and no 0 before the point.

    Example:
        >>> short(0.874), short(0.999), short(-0.014), short(-0.001)
        ('.87', '1.00', '−.01', '.00')
    """
    text = f"{abs(value):.2f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + (text[1:] if text.startswith("0") else text)


def with_interval(each: PairSimilarity) -> str:
    """Value with its interval, where it has one.

    Example:
        >>> with_interval(PairSimilarity("cka", ("a", 1), ("b", 2), 0.5, 0.4871, 0.5129))
        '0.500 (0.487 to 0.513)'
    """
    interval = "" if each.low is None or each.high is None else f" ({each.low:.3f} to {each.high:.3f})"
    return f"{each.value:.3f}{interval}".replace("-", "−")


def stage_runs(stages: tuple[int, ...]) -> list[tuple[int, int]]:
    """Where each stage begins among the cuts, and how many of them it has.

    Example:
        >>> stage_runs((0, 0, 0, 1, 1, 2))
        [(0, 3), (3, 2), (5, 1)]
    """
    places = groupby(range(len(stages)), key=lambda cut: stages[cut])
    return [(group[0], len(group)) for group in (list(members) for _, members in places)]
