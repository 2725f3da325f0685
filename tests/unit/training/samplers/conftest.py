"""Spaces without torch: three anchors whose stitches cost plainly different amounts, and a huge space."""

import pytest

from stitchable.space.build import SpaceOptions, build_space


@pytest.fixture(scope="session")
def space(outline):
    """Twenty-odd stitches of three anchors of four blocks."""
    anchors = [outline("a", 4, 2, macs=1_000), outline("b", 4, 3, macs=4_000), outline("c", 4, 4, macs=9_000)]
    return build_space(anchors)


@pytest.fixture(scope="session")
def huge(outline):
    """More than ten million stitches."""
    anchors = [outline("a", 8, 2, macs=1_000), outline("b", 8, 3, macs=4_000)]
    space = build_space(anchors, SpaceOptions(kernel=6, direction="both", joints=12))
    assert space.count > 10_000_000
    return space
