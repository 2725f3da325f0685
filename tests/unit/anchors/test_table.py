from pathlib import Path

from stitchable.anchors.registry import families
from stitchable.anchors.table import families_page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "families.md"


def test_the_committed_page_is_the_registry():
    again = "write it again: python -m stitchable.anchors.table > docs/families.md"
    assert PAGE.read_text(encoding="utf-8") == families_page(), again


def test_a_row_has_five_cells():
    rows = [line for line in families_page().splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(families())
    assert all(row.count("|") == 6 for row in rows)
