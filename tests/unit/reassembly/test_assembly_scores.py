import random

import pytest

from stitchable.errors import StitchError
from stitchable.prediction.additive import AdditiveFeatures, fit_additive
from stitchable.reassembly.assembly_scores import assembly_scores
from stitchable.reassembly.partition import partition_zoo
from stitchable.reassembly.program import best_assemblies
from stitchable.reassembly.space import reassembly_space

QUALITY = {"a": 90.0, "b": 94.0, "c": 80.0}


@pytest.fixture
def space(zoo, random_similarity):
    outlines = zoo({"a": 8, "b": 12, "c": 9}, cheapest=1)
    return reassembly_space(
        outlines, partition_zoo(outlines, random_similarity(outlines), parts=3, restarts=2)
    )


@pytest.fixture
def similarity(space):
    draw = random.Random(0)
    return {layer: draw.uniform(0.3, 1) for layer in space.layers}


def by_hand(space, similarity, stitch, weight):
    value = 0.0
    for each in stitch.segments:
        macs = [block.macs for block in space.outlines[each.anchor].blocks]
        value += QUALITY[each.anchor] * sum(macs[each.start : each.stop]) / sum(macs)
    return value - weight * sum(1 - similarity[joint.layer] for joint in space.path(stitch))


def test_a_score_is_the_quality_of_its_blocks_less_what_its_joints_lose(space, similarity):
    scores = assembly_scores(space, similarity, QUALITY, weight=7.0)
    for stitch in space:
        assert scores.of(space, stitch) == pytest.approx(by_hand(space, similarity, stitch, 7.0))
    for name, quality in QUALITY.items():
        assert scores.of(space, name) == pytest.approx(quality)


def test_scores_fitted_to_many_candidates_serve_as_well(space, similarity):
    measured = {stitch: by_hand(space, similarity, stitch, 12.5) for stitch in space}
    scores = fit_additive(AdditiveFeatures(space, similarity), measured)
    best = best_assemblies(space, scores, top=1)[0]
    assert measured[best.stitch] == pytest.approx(max(measured.values()), abs=0.5)


def test_what_is_missing_is_named(space, similarity):
    with pytest.raises(StitchError, match="No quality of 'c'"):
        assembly_scores(space, similarity, {"a": 1.0, "b": 1.0}, weight=1.0)
    with pytest.raises(StitchError, match="No similarity of 'a>b"):
        assembly_scores(space, {}, QUALITY, weight=1.0)
