from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.space import prune as module
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.prune import ListedSpace, prune, sample_members
from stitchable.stitch import Stitch

SMALL = settings(deadline=None, max_examples=40)


def names(stitches):
    return [str(stitch) for stitch in stitches]


@pytest.fixture
def both(outline):
    return build_space([outline("a", 3, 8), outline("b", 3, 16)], SpaceOptions(direction="both", joints=2))


@pytest.fixture(scope="session")
def spaces(outline):
    """A stitching layer of these costs 20 MACs, as much as one, a half or a third of a block."""

    def build(anchors, kernel, joints):
        outlines = [outline(f"n{i}", depth, 2, macs) for i, (depth, macs) in enumerate(anchors)]
        return build_space(
            outlines, SpaceOptions(kernel=kernel, joints=joints, direction="both", pairs="all")
        )

    return build


ANCHOR = st.tuples(st.integers(1, 5), st.sampled_from([20, 40, 60]))
CHOICES = st.tuples(st.lists(ANCHOR, min_size=2, max_size=3), st.integers(1, 3), st.integers(0, 2))


def test_46_of_68_deit_stitches_are_deeper_than_both_anchors(outline):
    space = build_space([outline(name, 12, width) for name, width in (("ti", 1), ("s", 2), ("b", 4))])
    pruned = prune(space, ["deeper"])
    # Of a window's pairs j == k and j > k run more than twelve blocks: 2 · (12 + 11).
    assert len(pruned.dropped) == 46
    assert pruned.space.count == 71 - 46
    assert pruned.describe() == "pruning kept 25 stitches and dropped 46: 46 deeper"
    assert all(sum(map(len, drop.stitch.segments)) > 12 for drop in pruned.dropped)
    assert all(sum(map(len, stitch.segments)) <= 12 for stitch in pruned.space)


@given(choice=CHOICES)
@SMALL
def test_dearer_is_what_costs_at_least_its_dearest_anchor(spaces, choice):
    space = spaces(*choice)
    pruned = prune(space, ["dearer"])
    price = {name: space.cost(name).macs for name in space.outlines}
    expected = [
        str(stitch)
        for stitch in space
        if "+" in str(stitch) and space.cost(stitch).macs >= max(price[name] for name in stitch.anchors)
    ]
    assert names(drop.stitch for drop in pruned.dropped) == expected
    assert {drop.rule for drop in pruned.dropped} <= {"dearer"}


@given(choice=CHOICES)
@SMALL
def test_equal_keeps_one_stitch_of_every_cost(spaces, choice):
    space = spaces(*choice)
    kept = prune(space, ["equal"]).space
    everyone = list(space)
    first = {}
    for stitch in everyone:
        first.setdefault(space.cost(stitch).macs, stitch)
    assert set(kept) == set(first.values()) | {s for s in everyone if "+" not in str(s)}


@given(choice=CHOICES, rules=st.lists(st.sampled_from(["deeper", "dearer", "equal"]), unique=True))
@SMALL
def test_what_is_dropped_is_reported_and_the_rest_keeps_its_order(spaces, choice, rules):
    space = spaces(*choice)
    pruned = prune(space, rules)
    dropped = {drop.stitch for drop in pruned.dropped}
    assert names(pruned.space) == names(stitch for stitch in space if stitch not in dropped)
    assert set(space.outlines) <= {stitch.anchors[0] for stitch in pruned.space if len(stitch.anchors) == 1}
    assert {drop.rule for drop in pruned.dropped} <= set(rules)
    said = Counter(drop.rule for drop in pruned.dropped)
    assert all(f"{count} {rule}" in pruned.describe() for rule, count in said.items())
    assert f"kept {space.count - len(dropped)} stitches" in pruned.describe()


def test_what_costs_as_much_as_its_dearest_anchor_is_dearer(spaces):
    # n1 costs 200: stem, three blocks and head at 40 each. A layer costs 20, as a part of n0 does.
    space = spaces([(3, 20), (3, 40)], 2, 1)
    macs = {str(stitch): space.cost(stitch).macs for stitch in space}
    assert macs["n1[0:3]"] == macs["n0[0:1]+n1[1:3]"] + 20 == macs["n0[0:1]+n1[0:3]"] - 20
    assert macs["n0[0:2]+n1[1:3]"] == macs["n1[0:3]"]
    dropped = names(drop.stitch for drop in prune(space, ["dearer"]).dropped)
    assert "n0[0:2]+n1[1:3]" in dropped
    assert "n0[0:1]+n1[0:3]" in dropped
    assert "n0[0:1]+n1[1:3]" not in dropped


def test_reasons_give_the_numbers(outline):
    space = build_space([outline("a", 3, 8), outline("b", 3, 16)])
    cost, dearest = space.cost("a[0:1]+b[1:3]").macs, space.cost("b").macs
    reasons = {str(drop.stitch): drop.reason for drop in prune(space, ["deeper", "dearer"]).dropped}
    assert reasons["a[0:2]+b[1:3]"] == "runs 4 blocks; its anchors have at most 3"
    assert reasons["a[0:1]+b[1:3]"] == f"costs {cost:,} MACs; its dearest anchor costs {dearest:,}"


def test_equal_names_the_stitch_of_the_same_cost(outline):
    space = build_space([outline("a", 3, 8), outline("b", 3, 8)])
    drops = prune(space, ["equal"]).dropped
    # Equal widths: a stitch costs by its depth alone, so the first of each depth stays.
    assert {str(drop.stitch): drop.reason.split(" as ")[1] for drop in drops} == {
        "a[0:2]+b[1:3]": "a[0:1]+b[0:3] does",
        "a[0:2]+b[2:3]": "a[0:1]+b[1:3] does",
        "a[0:3]+b[1:3]": "a[0:2]+b[0:3] does",
        "a[0:3]+b[2:3]": "a[0:1]+b[0:3] does",
    }


def test_no_rule_drops_nothing(both):
    pruned = prune(both, [])
    assert names(pruned.space) == names(both)
    assert pruned.describe() == f"pruning kept {both.count} stitches and dropped 0: nothing"


def test_unknown_rule(both):
    with pytest.raises(StitchError, match=r"Unknown pruning rule 'deper'. Nearest: deeper"):
        prune(both, ["deper"])


def test_a_space_too_large_to_list(both, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_LIST", both.count - 1)
    with pytest.raises(StitchError, match=f"{both.count} stitches are more than {both.count - 1}"):
        prune(both, ["deeper"])


# Listed spaces


def test_a_list_is_a_space(both):
    chosen = ["b[0:2]+a[2:3]", "a[0:1]+b[1:3]", "a[0:1]+b[1:3]", "a"]
    listed = ListedSpace(both, chosen)
    assert names(listed) == ["a[0:3]", "b[0:3]", "a[0:1]+b[1:3]", "b[0:2]+a[2:3]"]
    assert listed.count == len(listed) == 4
    assert listed.counts == (2, 2)
    assert [listed.index(stitch) for stitch in listed] == [0, 1, 2, 3]
    assert [listed[index] for index in range(4)] == list(listed)
    assert listed[-1] == listed[3]
    assert {str(stitch) for stitch in listed.sample(200)} == set(names(listed))
    assert all(listed.cost(stitch) == both.cost(stitch) for stitch in listed)
    assert listed.to_dict() == {**both.to_dict(), "members": names(listed)}


def test_what_a_list_leaves_out(both):
    listed = ListedSpace(both, [])
    assert names(listed) == ["a[0:3]", "b[0:3]"]
    assert Stitch.parse("a[0:1]+b[1:3]") not in listed
    with pytest.raises(StitchError, match="it was pruned or not listed"):
        listed.index("a[0:1]+b[1:3]")
    with pytest.raises(IndexError, match="Stitch 2 is not in a list of 2"):
        listed[2]


def test_a_list_takes_only_stitches_of_its_space(both):
    with pytest.raises(StitchError, match="the joint a@1>b@2 is not in the space"):
        ListedSpace(both, ["a[0:1]+b[2:3]"])


def test_members_are_drawn_without_repeats_in_order(both):
    drawn = sample_members(both, 12, seed=3)
    indices = [both.index(stitch) for stitch in drawn]
    assert len(indices) == 12
    assert indices == sorted(set(indices))
    assert indices[:2] == [0, 1]
    assert drawn == sample_members(both, 12, seed=3) != sample_members(both, 12, seed=4)
    assert sample_members(both, both.count + 1) == list(both)
    assert sample_members(both, 1) == list(both)[:2]
