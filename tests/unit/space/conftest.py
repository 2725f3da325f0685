"""Spaces whose parts all cost something else, to find what equal costs would hide."""

import random
from itertools import product

import pytest

from stitchable.cost.parts import PartCost
from stitchable.feature import FeatureSpec
from stitchable.space.joint import Joint
from stitchable.space.outline import Outline
from stitchable.space.space import StitchingSpace


@pytest.fixture(scope="session")
def uneven():
    """Builder of a space of two or three anchors with random costs and joints in all directions."""

    def build(seed, *, joints=12, most=3, dearest=10_000, blocks=4):
        draw = random.Random(seed)
        outlines = []
        for name in "abc"[: draw.randint(2, 3)]:
            parts = [PartCost(draw.randrange(1, dearest)) for _ in range(draw.randint(2, blocks) + 2)]
            depth = len(parts) - 2
            feature = FeatureSpec("tokens", draw.randint(1, 30), (2, 2))
            outlines.append(
                Outline(name, (feature,) * (depth + 1), (0,) * depth, parts[0], tuple(parts[1:-1]), parts[-1])
            )
        edges = [
            Joint(front.name, leave, end.name, enter, f"{front.name}{leave}{end.name}{enter}")
            for front, end in product(outlines, repeat=2)
            if front is not end
            for leave, enter in product(range(1, front.depth + 1), range(end.depth))
        ]
        chosen = draw.sample(edges, min(joints, len(edges)))
        return StitchingSpace(outlines, chosen, most_joints=most)

    return build
