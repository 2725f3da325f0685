"""Rank correlation of similarities and measured accuracies, held against scipy."""

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from stitchable.prediction.tested_joint import FIT, JointTest, accuracy_correlations
from stitchable.space.joint import Joint


def measured(front, end, top1, r2):
    return [
        JointTest(Joint(front, number + 1, end, 0, "layer"), "", 1, fit, value, 0, 100, 0, 0, 0, 10, 20)
        for number, (value, fit) in enumerate(zip(top1, r2, strict=True))
    ]


def test_each_two_anchors_are_held_against_every_measure():
    generator = np.random.default_rng(0)
    joints = {pair: measured(*pair, *generator.random((2, 12))) for pair in (("a", "b"), ("a", "c"))}
    both = [each for members in joints.values() for each in members]
    cka = {each.joint: float(generator.random()) for each in both}
    found = accuracy_correlations(both, {"cka": cka})
    assert [(each.front, each.end, each.measure, each.joints) for each in found] == [
        *(("a", "b", name, 12) for name in ("cka", FIT)),
        *(("a", "c", name, 12) for name in ("cka", FIT)),
    ]
    for each in found:
        members = joints[each.front, each.end]
        top1 = [one.top1 for one in members]
        values = [cka[one.joint] if each.measure == "cka" else one.r2 for one in members]
        assert each.found.spearman.value == pytest.approx(spearmanr(values, top1).statistic)
        assert each.found.kendall.value == pytest.approx(kendalltau(values, top1).statistic)
        assert each.to_dict()["spearman"]["low"] < each.found.spearman.value


def test_where_nothing_can_be_ordered_nothing_is_said():
    few = measured("a", "b", [1, 2, 3], [1, 2, 3])
    (cka, fit) = accuracy_correlations(few, {"cka": {each.joint: 0.5 for each in few}})
    assert cka.found is fit.found is None
    assert cka.to_dict() == {"front": "a", "end": "b", "measure": "cka", "joints": 3}
    same = measured("a", "b", [1, 2, 3, 4], [1, 1, 1, 1])
    (fit,) = accuracy_correlations(same, {})
    assert fit.found is None
    assert accuracy_correlations([], {}) == []
