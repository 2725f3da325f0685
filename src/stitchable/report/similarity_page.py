"""The page of similarities: one HTML file that stands alone, whose maps are tables with numbers in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stitchable.prediction.tested_joint import AccuracyCorrelation, JointTest
from stitchable.report.similarity_result import NAMES, SimilarityResult
from stitchable.report.similarity_table import MapTable, map_table, with_interval
from stitchable.report.templating import render
from stitchable.space.joint import Joint

ROWS = {
    "pooled": "images; features are averaged over their positions",
    "pixels": "positions of all images, on the smaller of the two grids",
    "flattened": "images; all positions of a feature stand side by side",
}
"""What one observation is."""


@dataclass(frozen=True)
class JointLine:
    """One joint in its table.

    Attributes:
        joint: Which one.
        chosen: Whether the first measure chooses it.
        similarity: By measure, value and interval in words.
        test: What was measured, where it was tested.
    """

    joint: Joint
    chosen: bool
    similarity: tuple[str, ...]
    test: JointTest | None


@dataclass(frozen=True)
class PairSection:
    """What the page says of two anchors.

    Attributes:
        front: Name of the anchor that is left.
        end: Name of the one that is entered; the same one for a map within an anchor.
        maps: One for every measure.
        joints: The chosen ones first; none within an anchor.
        correlations: Of the measures with the accuracies, where joints were tested.
        tested: Number of tested joints.
        end_top1: Of the end anchor on the test's images, percent.
    """

    front: str
    end: str
    maps: tuple[MapTable, ...]
    joints: tuple[JointLine, ...]
    correlations: tuple[AccuracyCorrelation, ...]
    tested: int
    end_top1: float | None


def write_similarity_page(path: Path, found: SimilarityResult, *, facts: Mapping[str, str]) -> None:
    """Write maps, joints and rank correlations as a page, with no file or network beside it.

    Maps are tables, so the numbers can be read without scripts and by screen readers. With scripts the arrow
    keys go from cell to cell, and the one pointed at tells its interval.

    Args:
        path: The HTML file; it appears whole or not at all. Its folder must exist.
        found: What to show.
        facts: What was measured, as names and values.
    """
    names = list(found.outlines)
    page = render(
        "similarity.html.j2",
        title=f"Similarity of {', '.join(names[:-1])} and {names[-1]}",
        facts=facts,
        found=found,
        names=NAMES,
        rows=ROWS[found.options["rows"]],
        sections=_sections(found),
    )
    beside = path.with_name(path.name + ".partial")
    beside.write_text(page, encoding="utf-8")
    beside.replace(path)


def _sections(found: SimilarityResult) -> list[PairSection]:
    sections = []
    for pair in dict.fromkeys((each.front, each.end) for each in found.maps):
        lines = [
            JointLine(
                joint,
                joint in found.chosen,
                tuple(with_interval(found.similarity[measure][joint]) for measure in found.measures),
                found.test_of(joint),
            )
            for joint in found.joints
            if (joint.front, joint.end) == pair
        ]
        sections.append(
            PairSection(
                *pair,
                tuple(map_table(each) for each in found.maps if (each.front, each.end) == pair),
                tuple(lines),
                tuple(each for each in found.correlations if (each.front, each.end) == pair),
                sum(line.test is not None for line in lines),
                found.anchors_top1.get(pair[1]),
            )
        )
    return sections
