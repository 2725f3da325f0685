from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.reassembly.agreement import adjusted_rand_index, partition_agreement
from stitchable.reassembly.parts import ModelPart, Partition


def partition(cuts, labels):
    sets = {
        ModelPart(name, *ends): label
        for name, stops in cuts.items()
        for ends, label in zip(pairwise(stops), labels[name], strict=True)
    }
    medoids = {label: part for part, label in sets.items()}
    return Partition(cuts, sets, tuple(medoids[label] for label in sorted(medoids)), 0.0)


def counted(labels, others):
    """The index from its definition: pairs of items, one by one."""
    pairs = [(a, b) for a in range(len(labels)) for b in range(a)]
    ours = [labels[a] == labels[b] for a, b in pairs]
    theirs = [others[a] == others[b] for a, b in pairs]
    agreed = sum(a and b for a, b in zip(ours, theirs, strict=True))
    expected = sum(ours) * sum(theirs) / max(len(pairs), 1)
    most = (sum(ours) + sum(theirs)) / 2
    return 1.0 if most == expected else (agreed - expected) / (most - expected)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_the_index_is_that_of_the_definition(items):
    labels, others = zip(*items, strict=True)
    assert adjusted_rand_index(labels, others) == pytest.approx(counted(labels, others), abs=1e-12)


def test_partitions_with_other_cuts_are_compared_block_by_block():
    one = partition({"a": (0, 2, 4), "b": (0, 3, 6)}, {"a": (0, 1), "b": (0, 1)})
    other = partition({"a": (0, 1, 4), "b": (0, 3, 6)}, {"a": (1, 0), "b": (1, 0)})
    labels = [0, 0, 1, 1, 0, 0, 0, 1, 1, 1], [1, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert partition_agreement(one, other) == pytest.approx(counted(*labels))
    assert partition_agreement(one, one) == 1
    renamed = partition(one.cuts, {"a": (1, 0), "b": (1, 0)})
    assert partition_agreement(one, renamed) == 1


def test_other_zoos_are_refused():
    one = partition({"a": (0, 2, 4)}, {"a": (0, 1)})
    with pytest.raises(
        StitchError, match="of a with 4 blocks, and of a with 5 blocks; compare two of one zoo"
    ):
        partition_agreement(one, partition({"a": (0, 2, 5)}, {"a": (0, 1)}))
    with pytest.raises(StitchError, match="Got 2 and 1 labels"):
        adjusted_rand_index([1, 2], [1])
