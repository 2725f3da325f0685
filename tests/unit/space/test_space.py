from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

GRAPHS = settings(deadline=None, max_examples=60)


def every_path(depths, joints, most):
    """All paths of the graph of cuts, found block by block; each with the joints that it takes."""
    found = {}

    def walk(anchor, start, cut, text, taken):
        if cut == depths[anchor]:
            found[f"{text}{anchor}[{start}:{cut}]"] = taken
        else:
            walk(anchor, start, cut + 1, text, taken)
        if cut == start or len(taken) == most:
            return
        for number, (front, leave, end, enter) in enumerate(joints):
            if (front, leave) == (anchor, cut):
                walk(end, enter, enter, f"{text}{anchor}[{start}:{cut}]+", (*taken, number))

    for anchor in depths:
        walk(anchor, 0, 0, "", ())
    return found


def count_by_cuts(depths, joints, most):
    """Number of paths with 0, 1 … joints: a sum over the cuts, without joints that follow joints."""
    entered, counts = {(anchor, 0): 1 for anchor in depths}, []
    for _ in range(most + 1):
        ways = {  # to be at a cut after at least one block of the segment
            (anchor, cut): sum(entered.get((anchor, before), 0) for before in range(cut))
            for anchor, depth in depths.items()
            for cut in range(depth + 1)
        }
        counts.append(sum(ways[anchor, depth] for anchor, depth in depths.items()))
        entered = Counter()
        for front, leave, end, enter in joints:
            entered[end, enter] += ways[front, leave]
    return tuple(counts)


@st.composite
def graphs(draw):
    depths = {name: draw(st.integers(1, 4)) for name in "abcd"[: draw(st.integers(2, 4))]}
    edges = [
        (front, leave, end, enter)
        for front, end in product(depths, repeat=2)
        if front != end
        for leave, enter in product(range(1, depths[front] + 1), range(depths[end]))
    ]
    joints = draw(st.lists(st.sampled_from(edges), unique=True, max_size=9))
    return depths, joints, draw(st.integers(0, 3))


@pytest.fixture(scope="session")
def space_of(outline):
    def build(depths, joints, most):
        outlines = [outline(name, depth) for name, depth in depths.items()]
        edges = [Joint(*joint, layer=str(number)) for number, joint in enumerate(joints)]
        return StitchingSpace(outlines, edges, most_joints=most)

    return build


@pytest.fixture
def simple(outline):
    return build_space([outline("a", 3, 8), outline("b", 3, 16)])


@given(graph=graphs())
@GRAPHS
def test_holds_every_path_of_the_graph_of_cuts(space_of, graph):
    space, expected = space_of(*graph), every_path(*graph)
    listed = [str(stitch) for stitch in space]
    assert set(listed) == expected.keys()
    assert len(listed) == len(space) == space.count == len(expected)
    assert space.counts == count_by_cuts(*graph)


@given(graph=graphs())
@GRAPHS
def test_order_is_anchors_then_joints_by_their_positions(space_of, graph):
    space, expected = space_of(*graph), every_path(*graph)
    anchors = list(graph[0])
    in_order = sorted(expected.items(), key=lambda item: (len(item[1]), item[1] or anchors.index(item[0][0])))
    assert [str(stitch) for stitch in space] == [text for text, _ in in_order]
    taken = [tuple(map(space.joints.index, space.path(stitch))) for stitch in space]
    assert taken == [joints for _, joints in in_order]


@given(graph=graphs())
@GRAPHS
def test_indexing_and_index_are_inverse(space_of, graph):
    space = space_of(*graph)
    for index, stitch in enumerate(space):
        assert space[index] == space[index - space.count] == stitch
        assert space.index(stitch) == space.index(str(stitch)) == index
        assert stitch in space


@given(graph=graphs(), other=graphs())
@GRAPHS
def test_knows_what_it_does_not_hold(space_of, graph, other):
    space, own = space_of(*graph), every_path(*graph)
    for text in every_path(*other).keys() - own.keys():
        assert Stitch.parse(text) not in space
        with pytest.raises(StitchError, match="is not in the space"):
            space.index(text)


@given(graph=graphs())
@GRAPHS
def test_cost_of_a_stitch_is_what_it_runs(space_of, graph):
    # In these outlines stem, blocks and head cost 8 MACs and 8 params each; a layer carries 5 tokens.
    space = space_of(*graph)
    for stitch in space:
        blocks = [(s.anchor, i) for s in stitch.segments for i in range(s.start, s.stop)]
        layers = [joint.layer for joint in space.path(stitch)]
        cost = space.cost(stitch)
        assert cost.macs == 8 * (2 + len(blocks)) + 5 * 8 * 8 * len(layers)
        assert cost.params == 8 * (2 + len(set(blocks))) + (8 * 8 + 8) * len(set(layers))


def test_steps_spell_a_stitch_out(simple):
    steps = simple.steps("a[0:2]+b[1:3]")
    assert [f"{kind} {name} {block}" for kind, name, block, _ in steps] == [
        "stem a 0", "block a 0", "block a 1", "layer a>b:0-0 0", "block b 1", "block b 2", "head b 0"
    ]  # fmt: skip
    assert [step.joint for step in steps] == [""] * 4 + ["a@2>b@1"] * 3


def test_an_anchor_by_its_bare_name(simple):
    assert str(simple.stitch("b")) == "b[0:3]"
    assert simple.index("b") == 1
    assert simple.cost("b") == simple.outlines["b"].cost


def test_layers_know_the_joints_that_share_them(simple):
    listed = [joint for joints in simple.layers.values() for joint in joints]
    assert sorted(map(str, listed)) == sorted(map(str, simple.joints))
    assert {joint.layer for joint in simple.layers["a>b:0-1"]} == {"a>b:0-1"}
    # The window after the first brings (1, 2), (2, 1) and (2, 2).
    assert [(joint.leave - 1, joint.enter) for joint in simple.layers["a>b:0-1"]] == [(1, 2), (2, 1), (2, 2)]


def test_a_layer_carries_the_fronts_feature_to_the_end_anchors(outline):
    space = build_space([outline("a", (2, 2, 2), 8), outline("b", (3, 3, 3), 16)])
    for joint in space.joints:
        front, end = space.features(joint)
        stage = (joint.leave - 1) // 2
        assert front == FeatureSpec("map", 8 << stage, (16 >> stage, 16 >> stage), stage=stage)
        assert end == FeatureSpec("map", 16 << stage, (16 >> stage, 16 >> stage), stage=stage)
        weights = (8 << stage) * (16 << stage)
        cost = space.joint_cost(joint)
        assert cost.macs == (16 >> stage) ** 2 * weights
        assert sum(size for _, size in cost.params) == weights + (16 << stage)


# Sampling


def test_samples_are_uniform_and_come_again(outline):
    space = build_space([outline("a", 4), outline("b", 4, 9)], SpaceOptions(direction="both", joints=2))
    drawn = Counter(space.sample(60 * space.count, seed=5))
    assert drawn.keys() == set(space)
    assert chisquare([drawn[stitch] for stitch in space]).pvalue > 0.001
    assert space.sample(20, seed=5) == space.sample(40, seed=5)[:20]
    assert space.sample(20, seed=5) != space.sample(20, seed=6)


@pytest.fixture(scope="session")
def huge(outline):
    """More than ten million stitches, of three anchors of twelve blocks."""
    anchors = [outline(name, 12, width) for name, width in (("ti", 1), ("s", 2), ("b", 4))]
    return build_space(anchors, SpaceOptions(pairs="all", direction="both", joints=5))


def test_a_huge_space_is_counted_without_listing(huge):
    edges = [(joint.front, joint.leave, joint.end, joint.enter) for joint in huge.joints]
    assert huge.counts == count_by_cuts(dict.fromkeys(huge.outlines, 12), edges, 5)
    assert huge.count > 10_000_000


def test_a_huge_space_is_indexed_and_sampled_without_listing(huge):
    draws = huge.sample(1500, seed=1)
    assert all(huge[huge.index(stitch)] == stitch for stitch in draws[:100])
    assert all(stitch in huge for stitch in draws)
    indices = [huge.index(stitch) for stitch in draws]
    tenths = [index * 10 // huge.count for index in indices]
    assert chisquare([tenths.count(value) for value in range(10)]).pvalue > 0.001
    # Uniform over paths is not uniform over the number of joints, which has its own exact share.
    joints = Counter(len(stitch.joints) for stitch in draws)
    likely = [number for number, count in enumerate(huge.counts) if count * 1500 > 10 * huge.count]
    assert len(likely) >= 2
    share = [huge.counts[number] * 1500 / huge.count for number in likely]
    seen = [joints[number] for number in likely]
    rest = 1500 - sum(share)
    assert chisquare([*seen, 1500 - sum(seen)], [*share, rest]).pvalue > 0.001
    assert huge[huge.count - 1] == huge[-1]
    assert len(huge[-1].joints) == 5


# Errors


@pytest.mark.parametrize("index", [9, -10])
def test_an_index_beyond_the_space(simple, index):
    assert simple.count == 9
    with pytest.raises(IndexError, match="in a space of 9; allowed: 0 to 8"):
        simple[index]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c[0:1]+b[1:3]", "there is no anchor 'c'. Allowed: a, b."),
        ("a[0:2]", "a has 3 blocks and must run to its last"),
        ("a[0:1]+b[1:2]", "b has 3 blocks and must run to its last"),
        ("a[0:1]+b[1:2]+a[2:3]", "it has 2 joints and the space allows 1"),
        ("a[0:1]+b[2:3]", "the joint a@1>b@2 is not in the space. Nearest: a[0:1]+b[1:3], a[0:2]+b[2:3], "),
        ("b[0:1]+a[1:3]", "Nothing joins b to a; allowed: a to b."),
    ],
)
def test_a_stitch_that_is_not_there_names_the_nearest(simple, text, message):
    with pytest.raises(StitchError) as error:
        simple.stitch(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        (Joint("a", 1, "a", 1, "l"), "does not lead from one anchor of the space to another"),
        (Joint("a", 1, "z", 1, "l"), "does not lead from one anchor of the space to another"),
        (Joint("a", 0, "b", 1, "l"), "leads to a cut that its anchors do not have"),
        (Joint("a", 4, "b", 1, "l"), "leads to a cut that its anchors do not have"),
        (Joint("a", 1, "b", 3, "l"), "leads to a cut that its anchors do not have"),
    ],
)
def test_joints_that_lead_nowhere(outline, joint, message):
    with pytest.raises(StitchError, match=message):
        StitchingSpace([outline("a", 3), outline("b", 3)], [joint])


def test_two_joints_between_the_same_cuts(outline):
    joints = [Joint("a", 1, "b", 1, "one"), Joint("a", 1, "b", 1, "two")]
    with pytest.raises(StitchError, match="Two joints connect the same two cuts"):
        StitchingSpace([outline("a", 3), outline("b", 3)], joints)


@pytest.mark.parametrize(
    "change",
    [{"width": 9}, {"grid": (1, 1)}, {"prefix_tokens": 2}, {"kind": "map"}],
    ids=lambda each: next(iter(each)),
)
@pytest.mark.parametrize("side", ["front", "end"])
def test_joints_of_unlike_features_share_no_layer(outline, change, side):
    anchors = {"front": outline("a", 4), "end": outline("b", 4)}
    features = list(anchors[side].features)
    features[2] = replace(features[2], **change)
    anchors[side] = replace(anchors[side], features=tuple(features))
    joints = [Joint("a", 1, "b", 1, "one"), Joint("a", 2, "b", 2, "one"), Joint("a", 1, "b", 3, "one")]
    with pytest.raises(
        StitchError, match="a@1>b@1 and a@2>b@2 share the layer 'one' and carry unlike features"
    ):
        StitchingSpace(list(anchors.values()), joints)
    apart = [replace(joint, layer=str(number)) for number, joint in enumerate(joints)]
    assert StitchingSpace(list(anchors.values()), apart).count == 5


def test_the_stage_of_a_feature_is_no_part_of_its_shape(outline):
    front, end = outline("a", 4), outline("b", 4)
    front = replace(front, features=tuple(replace(each, stage=n) for n, each in enumerate(front.features)))
    joints = [Joint("a", 1, "b", 1, "one"), Joint("a", 3, "b", 3, "one")]
    assert len(StitchingSpace([front, end], joints).layers) == 1


def test_anchors_of_one_name(outline):
    with pytest.raises(StitchError, match="Anchor names must differ; got a, a"):
        StitchingSpace([outline("a", 3), outline("a", 4)], [])
