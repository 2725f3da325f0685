import pytest

from stitchable.search.mutation import Mutation
from stitchable.space.band import CostBand
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.prune import ListedSpace


@pytest.fixture
def two_way(outline):
    outlines = [outline("a", 4, 8, macs=10), outline("b", 6, 8, macs=30)]
    return build_space(outlines, SpaceOptions(direction="both", joints=3))


def test_changes_stay_in_the_space_and_are_a_pure_function_of_the_key(two_way):
    mutation = Mutation(two_way)
    for stitch in two_way:
        changed = [mutation(stitch, "x", step) for step in range(4)]
        assert all(each in two_way for each in changed)
        assert changed == [Mutation(two_way)(stitch, "x", step) for step in range(4)]
        assert any(each != stitch for each in changed)


def test_every_stitch_is_reached_from_every_other(two_way):
    mutation, seen = Mutation(two_way), set()
    left = [two_way[two_way.count - 1]]
    while left:
        stitch = left.pop()
        if stitch not in seen:
            seen.add(stitch)
            left += [mutation(stitch, step) for step in range(60)]
    assert seen == set(two_way)


def test_a_change_is_small(two_way):
    mutation = Mutation(two_way)
    for stitch in list(two_way)[::7]:
        before = set(two_way.path(stitch))
        for step in range(10):
            after = set(two_way.path(mutation(stitch, step)))
            assert len(after - before) <= 1  # no more than one joint is new


def test_a_listed_space_keeps_to_its_members(two_way):
    listed = ListedSpace(two_way, list(two_way)[::2])
    mutation = Mutation(listed)
    assert all(mutation(stitch, step) in listed for stitch in listed for step in range(3))


def test_a_stitch_that_cannot_change_is_returned(outline):
    space = build_space([outline("a", 3), outline("b", 3)], SpaceOptions(joints=0))
    assert Mutation(space)(space[0], 1) == space[0]
    assert CostBand(space, 0, 10**6).at_most == 2
