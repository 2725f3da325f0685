"""Small zoos whose blocks all cost something else, and similarities of all their cuts."""

import random
from itertools import product

import pytest

from stitchable.cost.parts import PartCost
from stitchable.feature import FeatureSpec
from stitchable.space.outline import Outline

KINDS = {
    "cnn": FeatureSpec("map", 8, (4, 4)),
    "vit": FeatureSpec("tokens", 6, (3, 3), prefix_tokens=1),
    "swin": FeatureSpec("map", 8, (4, 4), channels_last=True),
}


@pytest.fixture(scope="session")
def zoo():
    """Builder of outlines: depths and kinds of features by name; costs by seed."""

    def build(depths, *, kinds=None, seed=0, cheapest=80, dearest=120):
        draw = random.Random(seed)

        def part(label):
            return PartCost(draw.randint(cheapest, dearest), ((label, draw.randint(cheapest, dearest)),))

        outlines = []
        for name, depth in depths.items():
            feature = KINDS[(kinds or {}).get(name, "cnn")]
            blocks = tuple(part(f"{name} {number}") for number in range(depth))
            ends = part(f"{name} stem"), part(f"{name} head")
            outlines.append(Outline(name, (feature,) * (depth + 1), (0,) * depth, ends[0], blocks, ends[1]))
        return outlines

    return build


@pytest.fixture(scope="session")
def random_similarity():
    """Builder of a similarity of all cuts of some outlines: each pair once, uniform in [−0.2, 1)."""

    def build(outlines, seed=0):
        draw = random.Random(seed)
        cuts = [(each.name, cut) for each in outlines for cut in range(each.depth + 1)]
        return {(a, b): draw.uniform(-0.2, 1) for a, b in product(cuts, repeat=2) if a < b}

    return build
