import json
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from stitchable.reassembly.parts import ModelPart, Partition
from stitchable.reassembly.ranking import Candidate, ranked

ONE, TWO = ModelPart("a", 0, 2), ModelPart("a", 2, 3)
PARTITION = Partition({"a": (0, 2, 3)}, {ONE: 0, TWO: 1}, (ONE, TWO), 4.0)


def candidates(scores, top1):
    return [
        Candidate(f"a[0:{number}]+b[1:2]", 100 - number, 5, score, value, value, value)
        for number, (score, value) in enumerate(zip(scores, top1, strict=True), start=1)
    ]


def test_the_highest_top1_comes_first_and_the_score_is_held_against_it():
    scores, top1 = [5.0, 4.0, 3.0, 2.0, 1.0], [60.0, 80.0, 70.0, 10.0, 20.0]
    found = ranked(PARTITION, candidates(scores, top1), [Candidate("a[0:3]", 9, 9)])
    assert [each.top1 for each in found.candidates] == [80.0, 70.0, 60.0, 20.0, 10.0]
    assert found.correlation.spearman.value == pytest.approx(spearmanr(scores, top1).statistic)
    assert found.correlation.pairs == 5
    assert "over 5 networks: Spearman 0.60" in found.describe()
    assert found.describe().endswith("do not show that the score orders them.")


def test_equal_ones_are_told_apart_by_their_cost():
    found = ranked(PARTITION, candidates([1.0, 2.0], [50.0, 50.0]), [])
    assert [each.macs for each in found.candidates] == [98, 99]


def test_a_clear_order_is_said_to_be_one():
    values = np.arange(30.0)
    found = ranked(PARTITION, candidates(values, 2 * values), [])
    assert found.correlation.spearman.value == pytest.approx(1)
    assert found.describe().endswith("Kendall 1.00 (1.00 to 1.00).")


def test_what_says_nothing_is_said_to_say_nothing():
    for scores, top1 in (([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), ([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])):
        found = ranked(PARTITION, candidates(scores, top1), [])
        assert found.correlation is None
        assert found.describe().startswith("Too few networks")


def test_before_it_is_measured_the_order_is_that_of_the_scores():
    given = [Candidate("a[0:1]+b[1:2]", 3, 1, 2.0), Candidate("a[0:2]+b[1:2]", 1, 1, 1.0)]
    assert ranked(PARTITION, given, []).candidates == tuple(given)


def test_it_is_json_whatever_the_scores():
    found = ranked(PARTITION, candidates([-math.inf, 1.0, 2.0, 3.0, 4.0], [5.0, 1.0, 2.0, 3.0, 4.0]), [])
    assert found.correlation.pairs == 4  # what switches everything alike has no place in an order
    values = json.loads(json.dumps(found.to_dict({"parts": 2}), allow_nan=False))
    assert values["options"] == {"parts": 2}
    assert values["partition"]["cuts"] == {"a": [0, 2, 3]}
    assert values["partition"]["sets"] == {"a[0:2]": 0, "a[2:3]": 1}
    assert values["partition"]["medoids"] == ["a[0:2]", "a[2:3]"]
    assert "score" not in values["candidates"][0]
    assert values["candidates"][1]["score"] == 4.0
    assert values["correlation"]["spearman"]["value"] == pytest.approx(1)
