import pytest

from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.extremes import cheapest, dearest
from stitchable.space.joint import Joint
from stitchable.space.prune import ListedSpace
from stitchable.space.space import StitchingSpace


def check(space):
    costs = [space.cost(stitch).macs for stitch in space]
    low, high = cheapest(space), dearest(space)
    assert low in space
    assert high in space
    assert (space.cost(low).macs, space.cost(high).macs) == (min(costs), max(costs))


@pytest.mark.parametrize("options", [{}, {"kernel": 3}, {"direction": "both", "joints": 3}, {"joints": 0}])
def test_they_are_those_of_the_whole_list(outline, options):
    anchors = [outline("a", 3, 2, macs=500), outline("b", 5, 3, macs=30), outline("c", 4, 4, macs=900)]
    check(build_space(anchors, SpaceOptions(pairs="all", **options)))


@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_listed_space_gives_members_alone(outline, step):
    space = build_space([outline("a", 6, 2, macs=10), outline("b", 6, 4, macs=90)])
    check(ListedSpace(space, list(space)[::step]))


def test_a_stitch_may_be_dearer_or_cheaper_than_every_anchor(outline):
    # From the end of one anchor to the start of the other and the other way round.
    anchors = [outline("a", 3, 2, macs=1000), outline("b", 3, 2, macs=1001)]
    space = StitchingSpace(anchors, [Joint("a", 3, "b", 0, "long"), Joint("a", 1, "b", 2, "short")])
    check(space)
    assert str(dearest(space)) == "a[0:3]+b[0:3]"
    assert str(cheapest(space)) == "a[0:1]+b[2:3]"


def test_a_space_too_large_to_list(outline):
    """Back and forth, always to a block already passed: the dearest path takes every joint it may."""
    anchors = [outline("a", 6, 4, macs=10**6), outline("b", 6, 4, macs=10**6)]
    joints = [Joint("a", i, "b", 0, f"ab{i}") for i in range(1, 7)]
    joints += [Joint("b", i, "a", 0, f"ba{i}") for i in range(1, 7)]
    space = StitchingSpace(anchors, joints, most_joints=12)
    assert space.count == 2 * sum(6**joints for joints in range(13))
    high = dearest(space)
    assert [len(segment) for segment in high.segments] == [6] * 13
    assert cheapest(space) == anchors[0].stitch  # a way through one of the two, and no joint's price
