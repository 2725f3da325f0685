import pytest

from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.tree import PathTree, shared_macs


def test_a_tree_has_a_node_for_every_distinct_beginning():
    words = ["stitch", "stitches", "stem", "", "stem", "head"]
    beginnings = {word[: length + 1] for word in words for length in range(len(word))}
    tree = PathTree.of(words)
    assert sorted(tree.steps()) == sorted(each[-1] for each in beginnings)
    for position, word in enumerate(words):
        node = tree
        for letter in word:
            node = node.children[letter]
        assert position in node.ends
    assert tree.ends == [3]


@pytest.fixture
def space(outline):
    anchors = [outline("a", 4, 2, macs=100), outline("b", 4, 3, macs=10_000)]
    return build_space(anchors, SpaceOptions(kernel=1, sharing="none"))


def test_shared_macs_by_hand(space):
    # Five tokens cross an affine map from 2 to 3 channels: 30 MACs.
    first, second = "a[0:1]+b[0:4]", "a[0:3]+b[2:4]"
    alone = [100 * 2 + 30 + 10_000 * 5, 100 * 4 + 30 + 10_000 * 3]
    assert [space.cost(each).macs for each in (first, second)] == alone
    assert shared_macs(space, [first, second]) == (sum(alone) - 200, sum(alone))  # a's stem and block 0
    assert shared_macs(space, [first]) == (alone[0], alone[0])
    assert shared_macs(space, ["a", "b"]) == (60_600, 60_600)
    assert shared_macs(space, ["a", "a"]) == (600, 1200)
    assert shared_macs(space, []) == (0, 0)


def test_shared_macs_of_all_stitches_count_every_beginning_once(outline):
    anchors = [outline("a", 4, 2, macs=7), outline("b", 5, 3, macs=110), outline("c", 3, 5, macs=1300)]
    space = build_space(anchors, SpaceOptions(direction="both", joints=3, pairs="all"))
    macs = {"a": 7, "b": 110, "c": 1300}
    widths = {"a": 2, "b": 3, "c": 5}
    seen = {}
    for stitch in space:
        cost, path = macs[stitch.anchors[0]], f"stem {stitch.anchors[0]}"
        seen[path] = cost
        for number, segment in enumerate(stitch.segments):
            if number:
                before = stitch.segments[number - 1]
                path += f" {space.joint(before, segment).layer}"
                seen[path] = 5 * widths[before.anchor] * widths[segment.anchor]
            for block in range(segment.start, segment.stop):
                path += f" {segment.anchor}{block}"
                seen[path] = macs[segment.anchor]
        seen[path + " head"] = macs[stitch.anchors[-1]]
    assert shared_macs(space, space) == (
        sum(seen.values()),
        sum(space.cost(stitch).macs for stitch in space),
    )
