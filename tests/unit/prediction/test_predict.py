import numpy as np
import pytest
from scipy.stats import spearmanr

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.prediction.additive import AdditiveFeatures, fit_additive, held_out
from stitchable.prediction.features import FEATURES, FeatureTable, Known, feature_table
from stitchable.prediction.predict import describe, predict
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch


def row(stitch, top1, anchor=None):
    return CurveRow(0, stitch, 1, 1, top1, top1, top1, 100 - top1, 10, False, anchor)


@pytest.fixture
def simple(outline):
    """Two joints there and back; blocks of 10 and of 30 MACs."""
    outlines = [outline("a", 4, 8, macs=10), outline("b", 4, 8, macs=30)]
    joints = [Joint("a", 1, "b", 1, "up"), Joint("b", 3, "a", 3, "down")]
    return StitchingSpace(outlines, joints, most_joints=2)


def table_of(x):
    stitches = tuple(Stitch.parse(f"a[0:{number + 1}]+b[1:2]") for number in range(len(x)))
    return FeatureTable(stitches, ("untrained_top1", "joints"), x)


def test_features_are_what_they_say(simple):
    untrained = {
        text: row(text, top1, anchor)
        for text, top1, anchor in [
            ("a[0:4]", 70.0, "a"),
            ("b[0:4]", 80.0, "b"),
            ("a[0:1]+b[1:3]+a[3:4]", 40.0, None),
        ]
    }
    known = Known({"up": 0.75, "down": 0.5}, {"a@1>b@1": 0.9, "b@3>a@3": 0.6}, untrained)
    stitch = simple.stitch("a[0:1]+b[1:3]+a[3:4]")
    found = feature_table(simple, [stitch], known)
    assert found.names == tuple(FEATURES)
    values = dict(zip(found.names, found.values[0], strict=True))
    joint = simple.joint_cost(simple.joints[0]).macs
    assert values == pytest.approx(
        {
            "unexplained": 0.25 + 0.5,
            "dissimilarity": 0.1 + 0.4,
            "untrained_top1": 40.0,
            "untrained_loss": 60.0,
            "macs_share": (10 + 10 + 60 + 10 + 10 + 2 * joint) / (6 * 30),
            "kept_of_end": 1 / 4,
            "joints": 2,
            "anchors_top1": (2 * 70 + 2 * 80) / 4,
        }
    )


def test_what_is_not_known_of_all_is_left_out(simple):
    stitches = [simple.stitch("a[0:1]+b[1:4]"), simple.stitch("b[0:3]+a[3:4]")]
    known = Known({"up": 0.75}, {}, {})
    assert feature_table(simple, stitches, known).names == ("macs_share", "kept_of_end", "joints")
    assert "unexplained" in feature_table(simple, stitches[:1], known).names
    with pytest.raises(StitchError, match="No stitch"):
        feature_table(simple, [], known)


def test_a_law_is_found_and_carried_to_what_was_not_measured():
    x = np.random.default_rng(0).normal(size=(20, 2))
    truth = 90 + x @ np.array([2.0, -1.0])
    table = table_of(x)
    names = [str(stitch) for stitch in table.stitches]
    measured = dict(zip(names[:12], truth[:12].tolist(), strict=True))
    found = predict(table, measured)
    assert [each.predicted for each in found.rows] == pytest.approx(truth, abs=0.1)
    assert [each.measured for each in found.rows] == [*truth[:12], *[None] * 8]
    assert found.correlation.spearman.value > 0.99
    assert found.fitted_on == 12
    alone = found.to_dict()["single"]["joints"]["spearman"]["value"]
    assert alone == pytest.approx(spearmanr(x[:12, 1], truth[:12]).statistic)
    assert not any("do not show" in line and "anything" in line for line in describe(found))


def test_noise_is_called_noise():
    draw = np.random.default_rng(3)
    table = table_of(draw.normal(size=(16, 2)))
    measured = {
        str(stitch): value for stitch, value in zip(table.stitches, draw.normal(size=16), strict=True)
    }
    lines = describe(predict(table, measured))
    assert any("reaches 0" in line for line in lines)
    assert any("no less than the mean" in line for line in lines)


def test_equal_measurements_have_no_order():
    table = table_of(np.random.default_rng(0).normal(size=(9, 2)))
    found = predict(table, {str(stitch): 50.0 for stitch in table.stitches})
    assert found.correlation is None
    assert "no order" in describe(found)[0]
    assert found.to_dict()["correlation"] is None


def test_few_measurements_are_refused():
    table = table_of(np.zeros((9, 2)))
    with pytest.raises(StitchError, match="7 trained stitches were measured"):
        predict(table, {str(stitch): 50.0 for stitch in table.stitches[:7]})


@pytest.fixture
def two_way(outline):
    outlines = [outline("a", 6, 8, macs=10), outline("b", 8, 8, macs=30)]
    return build_space(outlines, SpaceOptions(direction="both", joints=3))


def test_additive_predictions_are_linear_in_their_features(two_way):
    draw = np.random.default_rng(0)
    features = AdditiveFeatures(two_way, {layer: draw.uniform() for layer in two_way.layers})
    measured = {stitch: draw.normal(80, 5) for stitch in two_way.sample(60)}
    scores = fit_additive(features, measured)
    x = features.table(two_way)
    y = np.array([scores.of(two_way, stitch) for stitch in two_way])
    design = np.column_stack([x, np.ones(len(x))])
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    assert y == pytest.approx(fitted, abs=1e-8)


def test_a_law_that_adds_up_is_found(two_way):
    """Each joint has a price of its own; the anchors differ."""
    price = {joint: 0.5 + 3 * (number % 5) for number, joint in enumerate(two_way.joints)}
    truth = {
        stitch: 80 + 5 * (stitch.anchors[-1] == "b") - sum(price[joint] for joint in two_way.path(stitch))
        for stitch in two_way
    }
    seen = dict.fromkeys(two_way.sample(200))
    features = AdditiveFeatures(two_way, {})
    scores = fit_additive(features, {stitch: truth[stitch] for stitch in seen})
    new = [stitch for stitch in two_way if stitch not in seen]
    assert len(new) > 20
    errors = [scores.of(two_way, stitch) - truth[stitch] for stitch in new]
    assert np.std(errors) < 0.1 * np.std([truth[stitch] for stitch in new])
    predicted = held_out(features, {stitch: truth[stitch] for stitch in seen})
    assert np.corrcoef(predicted, [truth[stitch] for stitch in seen])[0, 1] > 0.95


def test_features_of_ends_blocks_and_joints(two_way):
    features = AdditiveFeatures(two_way, {"b>a:0-0": 0.25, "b>a:0-1": 0.75})
    joint = next(each for each in two_way.joints if each.layer == "b>a:0-0")
    other = next(each for each in two_way.joints if each.front == "a")
    assert list(features.of_joint[joint][4:7]) == [1, 0.75, joint.leave / 8]
    assert features.of_joint[other][5] == 0.5  # not known: the mean of the others
    stitch = two_way.through([other])
    expected = [0, 1, other.leave / 6, (8 - other.enter) / 8]
    assert features.of(stitch)[:4] == pytest.approx(expected)
    owns = features.of(stitch)[7:]
    assert [two_way.joints[place] for place in np.flatnonzero(owns)] == [other]
