"""Printing chosen joints, what the stitching test says of them, and rank correlations."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stitchable.report.similarity_result import SimilarityResult

_LONGEST = 30  # joints of two anchors up to which all are listed


def print_similarity(found: SimilarityResult) -> None:
    """Print what was found, two anchors at a time; no more is claimed than was tested."""
    from stitchable.cli.display import console

    for front, end in dict.fromkeys((joint.front, joint.end) for joint in found.chosen):
        console.print(
            f"[bold]{front} into {end}[/bold]: for each cut the most similar one by {found.measures[0]}"
        )
        _joints(found, front, end)
        if found.tested:
            _tested(found, front, end)
        console.print()
    if found.caution:
        console.print(found.caution)


def _joints(found: SimilarityResult, front: str, end: str) -> None:
    from stitchable.cli.display import console, table

    joints = [joint for joint in found.chosen if (joint.front, joint.end) == (front, end)]
    rows = []
    for joint in joints[:_LONGEST]:
        cells = [f"  {joint}", *(f"{found.similarity[name][joint].value:.3f}" for name in found.measures)]
        test = found.test_of(joint)
        if test:
            half = (test.top1_high - test.top1_low) / 2
            cells += [
                f"{test.r2:.3f}",
                f"{test.top1:.2f} % ± {half:.2f}",
                f"{test.drop:.2f}".replace("-", "−"),
            ]
        rows.append(cells)
    columns = ["  joint", *found.measures, *(["R² of fit", "top-1", "drop"] if found.tested else [])]
    table(columns, rows, right=range(1, len(columns)))
    if len(joints) > _LONGEST:
        console.print(f"  … and {len(joints) - _LONGEST:,} more, in similarity.json")


def _tested(found: SimilarityResult, front: str, end: str) -> None:
    from stitchable.cli.display import console, table

    tested = [each for each in found.tested if (each.joint.front, each.joint.end) == (front, end)]
    chosen = [each.top1 for each in tested if each.joint in found.chosen]
    others = [each.top1 for each in tested if each.joint not in found.chosen]
    line = f"  fitted, not trained: the {len(chosen)} chosen joints reach {mean(chosen):.2f} % on average"
    if others:
        line += f", {len(others)} others {mean(others):.2f} %"
    console.print(f"{line}; {end} alone {found.anchors_top1[end]:.2f} %")
    rows = []
    for each in found.correlations:
        if (each.front, each.end) == (front, end):
            values = [str(each.found.spearman), str(each.found.kendall)] if each.found else ["none", ""]
            doubt = each.found is not None and each.found.spearman.includes_zero
            rows.append([f"  {each.measure}", *values, "not told from no order" if doubt else ""])
    table([f"  against top-1 of {len(tested)} joints", "Spearman", "Kendall", ""], rows)
