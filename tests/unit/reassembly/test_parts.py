from itertools import pairwise

import pytest

from stitchable.errors import StitchError
from stitchable.reassembly.parts import ModelPart, Partition


def partition(cuts, sets, medoids):
    parts = [ModelPart(name, *ends) for name, stops in cuts.items() for ends in pairwise(stops)]
    return Partition(cuts, dict(zip(parts, sets, strict=True)), tuple(parts[place] for place in medoids), 0.0)


def test_parts_stand_anchor_by_anchor_from_stem_to_head():
    found = partition({"a": (0, 2, 4), "b": (0, 3, 5)}, [0, 1, 0, 1], [0, 3])
    assert [str(part) for part in found.parts] == ["a[0:2]", "a[2:4]", "b[0:3]", "b[3:5]"]
    assert found.count == 2


@pytest.mark.parametrize(
    ("cuts", "sets", "medoids", "message"),
    [
        ({"a": (0, 4)}, [0], [0], "two equivalence sets or more; got 1"),
        ({"a": (0, 2, 2)}, [0, 1], [0, 1], r"a: cuts \(0, 2, 2\) do not make 2 parts"),
        ({"a": (1, 2, 4)}, [0, 1], [0, 1], "Give 3 cuts that ascend from 0"),
        ({"a": (0, 1, 2, 4)}, [0, 1, 1], [0, 1], "do not make 2 parts"),
        ({"a": (0, 2, 4)}, [1, 0], [0, 1], "Medoid k must be a part of equivalence set k"),
        (
            {"a": (0, 2, 4), "b": (0, 1, 2)},
            [0, 1, 0, 2],
            [0, 1],
            "Equivalence set 2 has no medoid; 2 medoids were given",
        ),
    ],
)
def test_what_is_no_partition_is_refused(cuts, sets, medoids, message):
    with pytest.raises(StitchError, match=message):
        partition(cuts, sets, medoids)


def test_sets_are_of_the_partition_s_own_parts():
    one, two, other = ModelPart("a", 0, 2), ModelPart("a", 2, 4), ModelPart("a", 1, 4)
    with pytest.raises(StitchError, match="each of them once"):
        Partition({"a": (0, 2, 4)}, {one: 0, other: 1}, (one, other), 0.0)
    with pytest.raises(StitchError, match="each of them once"):
        Partition({"a": (0, 2, 4)}, {one: 0, two: 1, other: 1}, (one, two), 0.0)
