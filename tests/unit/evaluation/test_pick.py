import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.pick import describe, pick

BUDGET = st.one_of(st.none(), st.integers(1, 9))


def row(index, macs, params, top1):
    return CurveRow(index, f"net{index}[0:9]", macs, params, top1, top1 - 1, top1 + 1, 0.5, 10_000, False)


@st.composite
def curves(draw):
    values = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(0, 5))
    entries = draw(st.lists(values, min_size=1, max_size=12))
    rows = [row(index, macs, params, float(top1)) for index, (macs, params, top1) in enumerate(entries)]
    return draw(st.permutations(rows))


CURVE = [
    row(0, 41_200_000, 272_474, 91.7),
    row(1, 83_000_000, 520_000, 92.9),
    row(2, 126_800_000, 855_770, 93.3),
]


@given(rows=curves(), macs=BUDGET, params=BUDGET)
@settings(deadline=None)
def test_nothing_within_the_budget_is_better(rows, macs, params):
    assume(macs is not None or params is not None)
    fitting = [
        row for row in rows if (macs is None or row.macs <= macs) and (params is None or row.params <= params)
    ]
    assume(fitting)
    choice = pick(rows, macs=macs, params=params)
    assert choice.row in fitting
    for other in fitting:
        assert other.top1 <= choice.row.top1
        if other.top1 == choice.row.top1:
            ours, theirs = choice.row, other
            assert (ours.macs, ours.params, ours.index) <= (theirs.macs, theirs.params, theirs.index)
    better = [row for row in rows if row.top1 > choice.row.top1]
    assert (choice.beyond is None) == (not better)
    if choice.beyond is not None:
        assert choice.beyond in better
        excesses = [
            max(row.macs / macs if macs else 0, row.params / params if params else 0) for row in better
        ]
        beyond = choice.beyond
        assert max(beyond.macs / macs if macs else 0, beyond.params / params if params else 0) == min(
            excesses
        )
        assert min(excesses) > 1


def test_headroom_and_what_lies_beyond():
    choice = pick(CURVE, macs=100_000_000)
    assert choice.row is CURVE[1]
    assert choice.macs_headroom == 17_000_000
    assert choice.params_headroom is None
    assert choice.beyond is CURVE[2]
    assert pick(CURVE, params=855_770).params_headroom == 0


def test_no_budget_names_the_flags():
    with pytest.raises(StitchError, match="Give --macs, --params or both"):
        pick(CURVE)


def test_budget_below_one_and_empty_curve():
    with pytest.raises(StitchError, match="A budget of 0 params"):
        pick(CURVE, params=0)
    with pytest.raises(StitchError, match="holds no rows to pick from"):
        pick([], macs=1)


@pytest.fixture
def units():
    return pytest.importorskip("stitchable.units", reason="the formatting of counts is not here")


@pytest.mark.parametrize(
    ("budgets", "parts"),
    [
        ({"macs": 1_000_000}, ["No stitch fits 1.00 MMACs.", "is 41.2 MMACs (41200000), by net0[0:9]."]),
        ({"params": 1000}, ["is 272.5 kparams (272474), by net0[0:9]."]),
        (
            {"macs": 50_000_000, "params": 1000},
            [
                "No stitch fits 50.0 MMACs and 1.00 kparams.",
                "is 272.5 kparams (272474) with 50.0 MMACs, by net0",
            ],
        ),
        (
            {"macs": 10, "params": 10},
            ["is 41.2 MMACs (41200000) and 272.5 kparams (272474), by net0[0:9]."],
        ),
    ],
)
def test_nothing_fits_names_the_smallest_budgets(units, budgets, parts):
    with pytest.raises(StitchError) as error:
        pick(CURVE, **budgets)
    for part in parts:
        assert part in str(error.value)


@given(rows=curves(), macs=st.integers(1, 4), params=st.integers(1, 4))
@settings(deadline=None)
def test_the_budget_named_can_be_met(rows, macs, params):
    pytest.importorskip("stitchable.units", reason="the formatting of counts is not here")
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


def test_describe(units):
    lines = describe(pick(CURVE, macs=100_000_000, params=600_000)).splitlines()
    assert lines == [
        "net1[0:9]: 92.90 % top-1 (91.90 to 93.90) on 10,000 images",
        "83.0 MMACs of 100.0 MMACs, 17.0 MMACs to spare",
        "520.0 kparams of 600.0 kparams, 80.0 kparams to spare",
        "more accurate: net2[0:9], 93.30 % at 126.8 MMACs and 855.8 kparams",
    ]
    assert describe(pick(CURVE, params=900_000)).endswith("no stitch of the curve is more accurate")
