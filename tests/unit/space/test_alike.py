"""Joints of every two cuts, and those that a similarity would choose."""

import numpy as np
import pytest

from stitchable.errors import StitchError
from stitchable.space.alike import alike_joints, every_joint, front_end_pairs, with_others
from stitchable.space.space import StitchingSpace


def table(front, end, values):
    return {
        ((front.name, leave), (end.name, enter)): float(value)
        for (leave, enter), value in np.ndenumerate(values)
    }


def test_every_joint_is_a_stitch(outline):
    front, end = outline("a", [2, 1], 8), outline("b", [1, 3], 16)
    joints = every_joint(front, end)
    space = StitchingSpace([front, end], joints)  # refuses cuts that cannot be joined
    assert {(joint.leave, joint.enter) for joint in joints} == {(j, k) for j in (1, 2, 3) for k in range(4)}
    assert len(space.layers) == len(joints) == space.count - 2


def test_each_cut_of_the_end_anchor_gets_the_most_similar_one(outline):
    front, end = outline("a", 4), outline("b", 6)
    values = np.random.default_rng(0).random((5, 7))
    values[0] = 2  # before the first block the front has done nothing and cannot be left
    values[:, 6] = 3  # behind the last block nothing of the end anchor would run
    found = alike_joints(front, end, table(front, end, values))
    assert [joint.enter for joint in found] == list(range(6))
    assert [joint.leave for joint in found] == list(1 + values[1:, :6].argmax(0))
    assert list(found.values()) == list(values[1:, :6].max(0))
    assert {(joint.front, joint.end) for joint in found} == {("a", "b")}


def test_of_equal_ones_the_earliest_is_taken(outline):
    front, end = outline("a", 3), outline("b", 2)
    assert [joint.leave for joint in alike_joints(front, end, table(front, end, np.ones((4, 3))))] == [1, 1]


def test_a_pair_that_was_not_measured_is_named(outline):
    front, end = outline("a", 2), outline("b", 2)
    known = table(front, end, np.ones((3, 3)))
    del known[("a", 2), ("b", 1)]
    with pytest.raises(StitchError, match=r"No similarity is known of \('a', 2\) and \('b', 1\)"):
        alike_joints(front, end, known)


def test_pairs_go_from_cheap_to_dear(outline):
    found = front_end_pairs([outline("c", 2, 30), outline("a", 2, 10), outline("b", 2, 20)])
    assert [(front.name, end.name) for front, end in found] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_others_are_drawn_once_each_and_by_the_seed(outline):
    joints = every_joint(outline("a", 5), outline("b", 6))
    chosen = joints[3:7]
    found = with_others(chosen, joints, 8, seed=1)
    assert found == [joint for joint in joints if joint in set(found)]
    assert set(chosen) < set(found)
    assert len(found) == 12
    assert found == with_others(chosen, joints, 8, seed=1) != with_others(chosen, joints, 8, seed=2)
    assert with_others(chosen, joints, 100) == joints
    often = np.zeros(30)
    for seed in range(300):
        others = set(with_others(chosen, joints, 8, seed=seed)) - set(chosen)
        often += [joint in others for joint in joints]
    rest = np.delete(often, range(3, 7))
    assert often[3:7].sum() == 0
    # 8 of 26, 300 times: each count is within four standard deviations of 92.3
    assert abs(rest - 300 * 8 / 26).max() < 4 * (300 * 8 / 26 * 18 / 26) ** 0.5
