from hypothesis import given
from hypothesis import strategies as st

from stitchable.cost.parts import Cost, PartCost, total

SIZES = {label: 7**number for number, label in enumerate("abcdef")}
PARTS = st.lists(st.tuples(st.integers(0, 10**12), st.lists(st.sampled_from("abcdef"), unique=True)))


@given(parts=PARTS)
def test_macs_add_up_and_shared_params_count_once(parts):
    costs = [PartCost(macs, tuple((label, SIZES[label]) for label in labels)) for macs, labels in parts]
    held = set().union(*(labels for _, labels in parts))
    assert total(costs) == Cost(sum(macs for macs, _ in parts), sum(SIZES[label] for label in held))


def test_nothing_costs_nothing():
    assert total([]) == Cost(0, 0)


def test_a_part_that_runs_twice_is_held_once():
    block = PartCost(10, (("block", 4),))
    assert total([block, block]) == Cost(20, 4)
