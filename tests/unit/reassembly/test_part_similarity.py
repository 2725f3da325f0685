import math

import pytest

from stitchable.errors import StitchError
from stitchable.reassembly.part_similarity import PartSimilarity
from stitchable.reassembly.parts import ModelPart

CUTS = [("a", 0), ("a", 2), ("a", 4), ("b", 0), ("b", 3), ("b", 6)]
SIMILARITY = {
    (cut, other): 1 / (2 + 10 * number + place)
    for number, cut in enumerate(CUTS)
    for place, other in enumerate(CUTS)
    if number < place
}


def test_parts_of_different_models_at_different_positions_have_a_similarity():
    """The released code gives every such pair 0: a guard compares a name with itself."""
    parts = PartSimilarity(CUTS, SIMILARITY)
    first, last = ModelPart("a", 0, 2), ModelPart("b", 3, 6)
    expected = SIMILARITY[("a", 0), ("b", 3)] + SIMILARITY[("a", 2), ("b", 6)]
    assert parts(first, last) == parts(last, first) == pytest.approx(expected)
    assert expected > 0


def test_parts_of_one_model_have_one_too():
    expected = SIMILARITY[("a", 0), ("a", 2)] + SIMILARITY[("a", 2), ("a", 4)]
    parts = PartSimilarity(CUTS, SIMILARITY)
    assert parts(ModelPart("a", 0, 2), ModelPart("a", 2, 4)) == pytest.approx(expected)
    assert parts(ModelPart("a", 0, 4), ModelPart("a", 0, 4)) == 2


def test_of_a_measure_that_is_not_symmetric_the_mean_counts():
    cuts = [("a", 0), ("b", 0)]
    both = {(cuts[0], cuts[1]): 0.2, (cuts[1], cuts[0]): 0.8, (cuts[0], cuts[0]): 0.3}
    assert PartSimilarity(cuts, both).matrix.tolist() == [[1, 0.5], [0.5, 1]]


@pytest.mark.parametrize(("given", "state"), [([], "is missing"), ([math.nan], "is nan")])
def test_what_is_missing_is_named(given, state):
    cuts = [("a", 0), ("b", 2)]
    with pytest.raises(StitchError, match=f"a@0 and b@2 {state}"):
        PartSimilarity(cuts, dict(zip([(cuts[0], cuts[1])], given, strict=False)))
