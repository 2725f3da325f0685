"""The table of families in the documentation, written from the registry.

``python -m stitchable.anchors.table > docs/families.md`` writes it anew; a test compares.
"""

from __future__ import annotations

from stitchable.anchors.registry import Family, families

_HEAD = """\
# Families

Models of these classes are split as written here, and what a family refuses stays refused. A model of any
other class, a subclass of these too, is split by its traced graph or refused with the reason; then a
description of a few lines does it: see "Your own architecture" in the README. This page is written by
`python -m stitchable.anchors.table > docs/families.md`.

| family | library | one block is | classes | refused, and why |
|---|---|---|---|---|
"""


def families_page() -> str:
    """The page ``docs/families.md``: one row per family, in the registry's order."""
    return _HEAD + "".join(f"| {' | '.join(_cells(family))} |\n" for family in families())


def _cells(family: Family) -> tuple[str, ...]:
    classes = ", ".join(f"`{cls}`" for cls in family.classes)
    return family.name, family.library, family.granularity, classes, family.unsupported or "nothing"


if __name__ == "__main__":
    print(families_page(), end="")
