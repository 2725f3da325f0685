"""The file of a search: what decides it, and what has been measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stitchable.evaluation.curve import CurveRow


class SearchLog:
    """JSON lines: what decides the search, then a row of the curve per stitch, generation by generation.

    Args:
        path: The file. What it holds of another search goes, and so does a generation that is not whole.
        identity: What decides the search, as plain data.

    Attributes:
        rows: What has been measured, in order.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self._path = path
        self._identity = json.loads(json.dumps(identity))
        self._generations = self._read()
        self.rows = [row for rows in self._generations for row in rows]
        lines = [json.dumps(self._identity) + "\n"]
        lines += [_lines(rows, number) for number, rows in enumerate(self._generations)]
        beside = path.with_name(path.name + ".partial")
        beside.write_text("".join(lines), encoding="utf-8")
        beside.replace(path)

    def _read(self) -> list[list[CurveRow]]:
        found: list[list[CurveRow]] = []
        try:
            first, *rest = self._path.read_text(encoding="utf-8").splitlines()
            if json.loads(first) != self._identity:
                return []
            waiting: list[CurveRow] = []
            for line in rest:
                values = json.loads(line)
                size = values.pop("generation_size")
                del values["generation"]
                waiting.append(CurveRow(**{"on_front": False, **values}))
                if len(waiting) == size:
                    found.append(waiting)
                    waiting = []
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no file, or it breaks off: what is whole before that counts
        return found

    def add(self, rows: Sequence[CurveRow]) -> None:
        """Write down a generation."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_lines(rows, len(self._generations)))
        self._generations.append(list(rows))
        self.rows = [*self.rows, *rows]


def _lines(rows: Sequence[CurveRow], generation: int) -> str:
    lines = []
    for row in rows:
        values = {**row.to_dict(), "generation": generation, "generation_size": len(rows)}
        del values["on_front"]  # which is known when the search is done
        lines.append(json.dumps(values) + "\n")
    return "".join(lines)
