import json
import re
from math import isclose

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import Condition, DeviceCost, DeviceCosts
from stitchable.evaluation.outcomes import Outcomes
from stitchable.menu.pick import pick
from stitchable.menu.pick_text import describe
from stitchable.units import parse_milliseconds

BUDGET = st.one_of(st.none(), st.integers(1, 9))
NAMES = ("latency", "memory", "macs", "params")


def row(index, macs, params, top1, images=10_000):
    return CurveRow(index, f"net{index}[0:9]", macs, params, top1, top1 - 1, top1 + 1, 0.5, images, False)


@st.composite
def curves(draw):
    value = st.integers(1, 8)
    values = st.tuples(value, value, st.integers(2, 7), value, value)
    entries = draw(st.lists(values, min_size=1, max_size=12))
    rows = [row(index, macs, params, float(top1)) for index, (macs, params, top1, *_) in enumerate(entries)]
    costs = {
        each.stitch: DeviceCost(float(latency), 9.0 - latency, memory)
        for each, (*_, latency, memory) in zip(rows, entries, strict=True)
    }
    return draw(st.permutations(rows)), DeviceCosts(Condition(), costs)


def cost_of(each, device):
    measured = device.stitches[each.stitch]
    return {
        "latency": measured.p50_ms,
        "memory": measured.memory_bytes,
        "macs": each.macs,
        "params": each.params,
    }


CURVE = [
    row(0, 41_200_000, 272_474, 91.7),
    row(1, 83_000_000, 520_000, 92.9),
    row(2, 126_800_000, 855_770, 93.3),
]
DEVICE = DeviceCosts(
    Condition(batch=2, threads=2),
    {
        "net0[0:9]": DeviceCost(4.0, 6.0, 10_000_000),
        "net1[0:9]": DeviceCost(7.1, 7.2, 30_000_000),
        "net2[0:9]": DeviceCost(9.33336, 12.0, 20_000_000),
    },
    error=0.043,
)
LIMITS = st.tuples(BUDGET, BUDGET, BUDGET, BUDGET, st.one_of(st.none(), st.integers(2, 8)))


@given(
    curve=curves(), limits=LIMITS, sure=st.booleans(), cheapest=st.one_of(st.none(), st.sampled_from(NAMES))
)
@settings(deadline=None, max_examples=60)
def test_the_choice_is_the_definition(curve, limits, sure, cheapest):
    rows, device = curve
    budgets = {name: most for name, most in zip(NAMES, limits, strict=False) if most is not None}
    top1 = limits[4]
    assume(budgets or top1 is not None)
    sure = sure and top1 is not None

    def fits(each):
        reach = each.top1_low if sure else each.top1
        costs = cost_of(each, device)
        return all(costs[name] <= most for name, most in budgets.items()) and (top1 is None or reach >= top1)

    fitting = [each for each in rows if fits(each)]
    assume(fitting)
    choice = pick(rows, **budgets, top1=top1, sure=sure, cheapest=cheapest, device=device)
    objective = cheapest or ("top1" if budgets else "latency")
    assert choice.objective == objective

    def value(each):
        return -each.top1 if objective == "top1" else cost_of(each, device)[objective]

    order = [(value(each), -each.top1, each.macs, each.params, each.index) for each in fitting]
    assert choice.row is fitting[order.index(min(order))]
    assert choice.headroom == {
        name: most - cost_of(choice.row, device)[name] for name, most in budgets.items()
    }
    better = [each for each in rows if value(each) < value(choice.row)]
    assert (choice.beyond is None) == (not better)
    if choice.beyond is not None:
        assert choice.beyond.row in better
        assert not fits(choice.beyond.row)

        def excess(each):
            return max([1.0, *(cost_of(each, device)[name] / most for name, most in budgets.items())])

        assert excess(choice.beyond.row) == min(map(excess, better))
    json.dumps(choice.to_dict())


@given(curve=curves(), axis=st.sampled_from(NAMES))
@settings(deadline=None, max_examples=40)
def test_neighbours_are_the_next_on_the_front(curve, axis):
    rows, device = curve
    choice = (
        pick(rows, **{axis: 5}, device=device)
        if any(cost_of(each, device)[axis] <= 5 for each in rows)
        else None
    )
    assume(choice is not None)
    assert choice.along == axis

    def cost(each):
        return cost_of(each, device)[axis]

    front = [
        each
        for each in rows
        if not any(cost(other) <= cost(each) and other.top1 > each.top1 for other in rows)
        and not any(cost(other) < cost(each) and other.top1 == each.top1 for other in rows)
    ]
    below = [cost(each) for each in front if cost(each) < cost(choice.row)]
    above = [cost(each) for each in front if cost(each) > cost(choice.row)]
    for neighbour, costs, nearest in ((choice.cheaper, below, max), (choice.dearer, above, min)):
        assert (neighbour is None) == (not costs)
        if neighbour is not None:
            assert neighbour.priced.row in front
            assert neighbour.priced.costs[axis] == nearest(costs)
            assert neighbour.comparison.points == choice.row.top1 - neighbour.priced.row.top1


def test_neighbours_lie_along_the_budget_that_is_used_up_most():
    assert pick(CURVE, macs=83_000_000, params=900_000).along == "macs"
    assert pick(CURVE, macs=120_000_000, params=520_000).along == "params"
    assert pick(CURVE, macs=120_000_000, params=520_000, cheapest="latency", device=DEVICE).along == "latency"


def test_p95_is_another_latency():
    assert pick(CURVE, latency=7.15, device=DEVICE).row is CURVE[1]
    assert pick(CURVE, latency=7.15, device=DEVICE, percentile="p95").row is CURVE[0]


def test_surely_asks_for_the_lower_end():
    assert pick(CURVE, top1=92.0).row is CURVE[1]
    assert pick(CURVE, top1=92.0, sure=True).row is CURVE[2]
    with pytest.raises(StitchError) as error:
        pick(CURVE, top1=93.0, sure=True)
    assert "The nearest that can be met is 92.30 % top-1 surely (92.3), by net2[0:9]." in str(error.value)


def test_what_a_race_stopped_is_chosen_last():
    stopped = row(3, 50_000_000, 300_000, 93.0, images=500)
    choice = pick([*CURVE, stopped], macs=90_000_000)
    assert choice.row is CURVE[1]
    assert choice.beyond is not None
    assert choice.beyond.row is CURVE[2]
    assert "left out: stopped by a race before 10,000 images: 1 of 4 stitches" in describe(choice)
    only = pick([*CURVE[1:], stopped], macs=60_000_000)
    assert only.row is stopped
    assert "chosen from, for nothing else fits: stopped by a race" in describe(only)
    assert "on 500 images" in describe(only)


def test_stitches_that_were_not_profiled():
    part = DeviceCosts(DEVICE.condition, {"net0[0:9]": DEVICE.stitches["net0[0:9]"]})
    choice = pick(CURVE, latency=20, device=part)
    assert choice.row is CURVE[0]
    assert choice.notes == ("left out, since not in the profile: 2 of 3 stitches",)
    assert pick(CURVE, macs=1e9, device=part).condition is None
    with pytest.raises(StitchError, match="holds none of the curve's stitches"):
        pick(CURVE, memory=20, device=DeviceCosts(Condition(), {}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give --latency, --memory, --macs, --params or --top1"),
        ({"params": 0}, "A budget of 0 params holds no network. Give 1 or more."),
        ({"latency": 0.0}, "A budget of 0.00 µs holds no network. Give more than 0."),
        ({"latency": float("nan")}, "holds no network"),
        ({"top1": 0.92}, "A top-1 of 0.92 is no target. Give percent"),
        ({"top1": 101}, "A top-1 of 101 is no target"),
        ({"macs": 1e9, "sure": True}, "no top-1 to be sure of"),
        ({"macs": 1e9, "cheapest": "latency"}, "Latency is not on the curve"),
        ({"memory": 1e9}, "Memory is not on the curve"),
        ({"macs": 1e9, "cheapest": "mac"}, "no cost 'mac'. Nearest: macs"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(StitchError, match=message):
        pick(CURVE, **arguments)


def test_refuses_an_empty_curve():
    with pytest.raises(StitchError, match="holds no rows to choose from"):
        pick([], macs=1)


@pytest.mark.parametrize(
    ("limits", "parts"),
    [
        ({"macs": 1_000_000}, ["No stitch fits 1.00 MMACs.", "is 41.2 MMACs (41200000), by net0[0:9]."]),
        ({"params": 1000}, ["is 272.5 kparams (272474), by net0[0:9]."]),
        (
            {"macs": 50_000_000, "params": 1000},
            ["No stitch fits 50.0 MMACs and 1.00 kparams.", "is 272.5 kparams (272474) with 50.0 MMACs, by"],
        ),
        (
            {"macs": 10, "params": 10},
            ["is 41.2 MMACs (41200000) and 272.5 kparams (272474), by net0[0:9]."],
        ),
        (
            {"latency": 9, "top1": 93, "device": DEVICE},
            [
                "No stitch fits 9.00 ms and reaches 93.00 % top-1. The nearest that can be met is "
                "9.33 ms (9.3334ms) with 93.00 % top-1, by net2[0:9]; or "
                "92.90 % top-1 (92.9) with 9.00 ms, by net1[0:9]."
            ],
        ),
        ({"top1": 95}, ["No stitch reaches 95.00 % top-1.", "is 93.30 % top-1 (93.3), by net2[0:9]."]),
    ],
)
def test_nothing_fits_names_the_smallest_budgets(limits, parts):
    with pytest.raises(StitchError) as error:
        pick(CURVE, **limits)
    for part in parts:
        assert part in str(error.value)


@given(curve=curves(), macs=st.integers(1, 4), params=st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_the_budget_named_can_be_met(curve, macs, params):
    rows, _ = curve
    assume(not any(row.macs <= macs and row.params <= params for row in rows))
    with pytest.raises(StitchError) as error:
        pick(rows, macs=macs, params=params)
    text = str(error.value)
    within_params = [row.macs for row in rows if row.params <= params]
    within_macs = [row.params for row in rows if row.macs <= macs]
    if within_params:
        assert f"({min(within_params)}) with {params} params" in text
    if within_macs:
        assert f"({min(within_macs)}) with {macs} MACs" in text
    if not within_params and not within_macs:
        assert f"({min(row.macs for row in rows)})" in text
        assert f"({min(row.params for row in rows)})" in text


@given(latency=st.floats(1e-5, 1e5), top1=st.floats(1.5, 99.5), sure=st.booleans())
@settings(deadline=None, max_examples=40)
def test_what_is_named_fits_when_it_is_asked_for(latency, top1, sure):
    rows = [row(0, 1, 1, top1)]
    device = DeviceCosts(Condition(), {"net0[0:9]": DeviceCost(latency, latency, 1)})
    with pytest.raises(StitchError) as error:
        pick(rows, latency=1e-6, device=device)
    named = re.search(r"\(([\d.]+ms)\)", str(error.value))[1]
    assert pick(rows, latency=parse_milliseconds(named), device=device).row is rows[0]
    if top1 > 2.5:
        with pytest.raises(StitchError) as error:
            pick(rows, top1=100, sure=sure)
        named = re.search(r"\(([\d.]+)\)", str(error.value))[1]
        assert pick(rows, top1=float(named), sure=sure).row is rows[0]


def test_in_words():
    lines = describe(pick(CURVE, macs=100_000_000, params=600_000)).splitlines()
    assert lines == [
        "net1[0:9]: 92.90 % top-1 (91.90 to 93.90) on 10,000 images",
        "83.0 MMACs of 100.0 MMACs, 17.0 MMACs to spare",
        "520.0 kparams of 600.0 kparams, 80.0 kparams to spare",
        "more accurate: net2[0:9], 93.30 % at 126.8 MMACs and 855.8 kparams",
        "next cheaper on the front: net0[0:9], 91.70 % at 272.5 kparams; against it +1.20 points, "
        "surely better (the intervals do not overlap)",
        "next dearer on the front: net2[0:9], 93.30 % at 855.8 kparams; against it −0.40 points, "
        "not sure (the intervals overlap)",
    ]
    assert "no stitch of the curve is more accurate" in describe(pick(CURVE, params=900_000))


def test_in_words_with_a_profile_and_a_target():
    lines = describe(pick(CURVE, top1=92, device=DEVICE)).splitlines()
    assert lines[:4] == [
        "net1[0:9]: 92.90 % top-1 (91.90 to 93.90) on 10,000 images",
        "top-1 is 0.90 points above 92 %",
        "the cheapest that fits, by latency: 7.10 ms",
        "cheaper: net0[0:9], 91.70 % at 4.00 ms",
    ]
    assert lines[-1] == (
        "p50 latency 7.10 ms, memory 30.0 MB on cpu, eager, float32, batch 2, 2 threads; "
        "predictions are 4.3 % off on the median"
    )


def test_all_of_it_as_data():
    labels = np.zeros(1000, dtype=np.int32)
    predicted = np.ones((2, 1000), dtype=np.int32)
    predicted[0, :600] = predicted[1, 20:700] = 0
    outcomes = Outcomes(("net0[0:9]", "net1[0:9]"), labels, predicted, np.ones((2, 1000), dtype=np.float32))
    rows = [row(0, 10, 5, 60.0, images=1000), row(1, 20, 6, 68.0, images=1000)]
    found = json.loads(json.dumps(pick(rows, macs=30, device=DEVICE, outcomes=outcomes).to_dict()))
    assert found["stitch"] == "net1[0:9]"
    assert found["costs"] == {"macs": 20, "params": 6, "latency_ms": 7.1, "memory_bytes": 30_000_000}
    assert (found["budgets"], found["headroom"]) == ({"macs": 30}, {"macs": 10})
    assert (found["objective"], found["along"], found["target"]) == ("top1", "macs", None)
    assert found["condition"]["batch"] == 2
    assert found["beyond"] is None
    cheaper = found["neighbours"]["cheaper"]
    assert found["neighbours"]["dearer"] is None
    assert (cheaper["stitch"], cheaper["macs"], cheaper["top1"]) == ("net0[0:9]", 10, 60.0)
    comparison = cheaper["comparison"]
    assert isclose(comparison["points"], 8.0)
    assert comparison["images"] == 1000
    assert comparison["surely"] is True
    assert comparison["p_value"] < 1e-10
    assert comparison["low"] < 8 < comparison["high"]
