from collections import Counter
from dataclasses import replace
from itertools import accumulate, permutations

import pytest

from stitchable.errors import StitchError
from stitchable.space.build import SpaceOptions, build_space


@pytest.fixture
def three(outline):
    return [outline(name, 12, width) for name, width in (("ti", 1), ("s", 2), ("b", 4))]


@pytest.mark.parametrize(
    ("kernel", "stride", "count"),
    [(1, 1, 27), (2, 1, 71), (2, 2, 51), (3, 1, 111), (3, 2, 91), (4, 1, 147), (4, 2, 131)],
)
def test_published_counts_of_three_plain_vits(three, kernel, stride, count):
    space = build_space(three, SpaceOptions(kernel=kernel, stride=stride))
    assert space.count == len(list(space)) == count


def test_published_count_without_nearest(three):
    assert build_space(three, SpaceOptions(pairs="all", joints=2)).count == 732


@pytest.mark.parametrize("depths", [(12, 24), (12, 12)])
def test_published_counts_of_two_way(outline, depths):
    small, large = outline("s", depths[0], 1), outline("l", depths[1], 4)
    space = build_space([small, large], SpaceOptions(rule="two_way"))
    kinds = Counter("".join(stitch.anchors) for stitch in space)
    assert kinds == {"s": 1, "l": 1, "sl": 11, "ls": 11, "lsl": 55, "sls": 55}
    assert space.count == 134
    assert all(len(joints) == 1 for joints in space.layers.values())


@pytest.mark.parametrize(
    ("depths", "stages", "by_stage"),
    [
        pytest.param([(2, 2, 2, 2), (3, 4, 6, 3)], (1, 2), {1: 3, 2: 5}, id="ResNet-18/50: 10"),
        pytest.param([(2, 2, 2, 2), (2, 2, 6, 2)], (1, 2), {1: 1, 2: 5}, id="ResNet-18/Swin-Ti: 8"),
        pytest.param([(4, 4, 4), (4, 4, 4)], None, {0: 3, 1: 3}, id="LeViT-192/256: 8"),
        pytest.param(
            [(2, 2, 6, 2), (2, 2, 18, 2), (2, 2, 18, 2)], None, {0: 2, 1: 2, 2: 34}, id="Swin-Ti/S/B: 41"
        ),
    ],
)
def test_published_counts_of_hierarchical_anchors(outline, depths, stages, by_stage):
    anchors = {f"n{width}": outline(f"n{width}", each, width) for width, each in enumerate(depths, start=1)}
    space = build_space(list(anchors.values()), SpaceOptions(stages=stages))
    assert Counter(anchors[joint.front].stages[joint.leave - 1] for joint in space.joints) == by_stage
    assert space.count == len(depths) + sum(by_stage.values())
    for joint in space.joints:  # the end anchor's blocks that down-sample are never entered
        depth_of_stages = depths[list(anchors).index(joint.end)]
        assert joint.enter not in {0, *accumulate(depth_of_stages)}


def test_unpaired_layers_are_never_shared_by_different_front_blocks(outline):
    space = build_space([outline("s", 5, 1), outline("l", 13, 2)])
    fronts = [{joint.leave for joint in joints} for joints in space.layers.values()]
    assert all(len(leaves) == 1 for leaves in fronts)
    assert len(set.union(*fronts)) == len(space.layers) == 5


def test_sharing_none_gives_every_pair_its_own_layer(three):
    shared, own = (build_space(three, SpaceOptions(sharing=sharing)) for sharing in ("rule", "none"))
    assert len(shared.layers) == 2 * 11
    assert len(own.layers) == len(own.joints) == 2 * 34
    assert list(map(str, own)) == list(map(str, shared))


@pytest.mark.parametrize(
    ("pairs", "direction", "expected"),
    [
        ("nearest", "fast_to_slow", ["ti s", "s b"]),
        ("nearest", "slow_to_fast", ["s ti", "b s"]),
        ("nearest", "both", ["ti s", "s b", "s ti", "b s"]),
        ("all", "fast_to_slow", ["ti s", "s b", "ti b"]),
        ("all", "slow_to_fast", ["s ti", "b s", "b ti"]),
        ("all", "both", ["ti s", "s b", "ti b", "s ti", "b s", "b ti"]),
    ],
)
def test_who_is_joined_to_whom(three, pairs, direction, expected):
    space = build_space(three, SpaceOptions(pairs=pairs, direction=direction))
    assert list(dict.fromkeys(f"{joint.front} {joint.end}" for joint in space.joints)) == expected


def test_anchors_are_put_in_the_order_of_their_macs(three):
    expected = list(map(str, build_space(three)))
    assert expected[:3] == ["ti[0:12]", "s[0:12]", "b[0:12]"]
    for anchors in permutations(three):
        assert list(map(str, build_space(anchors))) == expected


def test_all_stages_but_the_last_are_joined(outline):
    anchors = [outline("a", (2, 2, 2), 1), outline("b", (2, 2, 2), 2)]
    assert {j.leave for j in build_space(anchors).joints} == {1, 3}
    assert {j.leave for j in build_space(anchors, SpaceOptions(stages=(2, 2, 0))).joints} == {1, 5}


def test_hierarchical_anchors_of_equal_depth_enter_only_behind_the_first_block(outline):
    anchors = [outline("a", (3, 3), 1), outline("b", (3, 3), 2)]
    space = build_space(anchors, SpaceOptions(kernel=3, stages=(0, 1)))
    assert [(j.leave, j.enter) for j in space.joints] == [(1, 1), (1, 2), (2, 2), (4, 4), (4, 5), (5, 5)]


@pytest.mark.parametrize("options", [{"kernel": 0}, {"stride": 0}, {"joints": -1}])
def test_bad_numbers(options):
    with pytest.raises(StitchError, match="kernel and stride must be at least 1, joints at least 0"):
        SpaceOptions(**options)


def test_one_anchor_is_no_space(outline):
    with pytest.raises(StitchError, match="at least two"):
        build_space([outline("a", 3)])


def test_names_must_differ(outline):
    with pytest.raises(StitchError, match="Anchor names must differ; got a, a"):
        build_space([outline("a", 3), outline("a", 4)])


def test_two_way_takes_two(three):
    with pytest.raises(StitchError, match="takes two anchors; got 3"):
        build_space(three, SpaceOptions(rule="two_way"))


def test_stages_that_are_not_there(outline):
    anchors = [outline("a", (2, 2, 2), 1), outline("b", (2, 2), 2)]
    with pytest.raises(StitchError, match="Got stage 2; a can be left for b in the stages 0, 1"):
        build_space(anchors, SpaceOptions(stages=(0, 2), match="stage"))


def test_a_window_over_unlike_features_has_a_layer_for_each_kind(outline):
    """As in models of no family, whose blocks may all count as one stage."""
    anchors = []
    for name, width in (("a", 1), ("b", 2)):
        each = outline(name, 4, width)
        small = tuple(replace(feature, grid=(1, 1)) for feature in each.features[2:])
        anchors.append(replace(each, features=(*each.features[:2], *small)))
    space = build_space(anchors)
    kinds = {
        layer: {tuple(map(str, space.features(joint))) for joint in joints}
        for layer, joints in space.layers.items()
    }
    assert all(len(each) == 1 for each in kinds.values())
    assert {layer.partition("-")[2] for layer in kinds} > {"0", "1", "2"}  # the windows
