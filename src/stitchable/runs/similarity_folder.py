"""The folder that ``stitchable similarity`` writes: numbers, figures and a page."""

from __future__ import annotations

import csv
import json
import platform
import shutil
from datetime import date
from pathlib import Path

import torch

import stitchable
from stitchable.errors import StitchError
from stitchable.report.similarity_figure import draw_similarity
from stitchable.report.similarity_page import write_similarity_page
from stitchable.report.similarity_result import SimilarityResult


class SimilarityFolder:
    """Paths of the results.

    ``similarity.json`` has everything; ``similarity.csv`` a line per measure and pair of cuts; ``maps/`` a
    figure per measure and pair of anchors, as SVG and PNG; ``similarity.html`` is the page.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.json = self.path / "similarity.json"
        self.csv = self.path / "similarity.csv"
        self.maps = self.path / "maps"
        self.page = self.path / "similarity.html"

    def check_free(self, *, overwrite: bool = False) -> None:
        """Make sure that results may be written here.

        Raises:
            StitchError: The folder holds something already, and ``overwrite`` is not given or it is not ours;
                or it cannot be, because a file is in its place or above it.
        """
        for place in (self.path, *self.path.parents):
            if place.is_file():
                raise StitchError(f"{place} is a file. Name a folder for the results.")
        if self.path.is_dir() and any(self.path.iterdir()):
            if not self.json.is_file():
                raise StitchError(f"{self.path} is not empty and holds no similarities. Name a new folder.")
            if not overwrite:
                raise StitchError(
                    f"{self.path} already holds similarities. Name another folder, or replace them with "
                    "--overwrite."
                )

    def write(self, found: SimilarityResult) -> None:
        """Write everything; what was there before is replaced."""
        shutil.rmtree(self.maps, ignore_errors=True)
        self.maps.mkdir(parents=True)
        for each in found.maps:
            draw_similarity(each, path=[self.maps / f"{each.name}{kind}" for kind in (".svg", ".png")])
        self._write_csv(found)
        write_similarity_page(self.page, found, facts=_facts(found))
        made = {"stitchable": stitchable.__version__, **found.to_dict()}
        beside = self.json.with_name(self.json.name + ".partial")
        beside.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        beside.replace(self.json)  # last: it tells that the others are there

    def _write_csv(self, found: SimilarityResult) -> None:
        with self.csv.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["measure", "front", "front_cut", "end", "end_cut", "value", "low", "high"])
            for cell in (cell for each in found.maps for row in each.cells for cell in row):
                lines.writerow([cell.measure, *cell.front, *cell.end, cell.value, cell.low, cell.high])


def _facts(found: SimilarityResult) -> dict[str, str]:
    facts = {"Images": f"{found.images:,} of {found.data}", "Rows": found.options["rows"]}
    if found.tested:
        facts["Test"] = (
            f"{len(found.tested)} joints, fitted to {found.tested[0].fit_images:,} training images, measured "
            f"on {found.tested[0].images:,} held-out ones"
        )
    facts["Made with"] = (
        f"stitchable {stitchable.__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    )
    facts["Date"] = date.today().isoformat()
    return facts
