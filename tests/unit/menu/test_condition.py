import pytest

from stitchable.errors import StitchError
from stitchable.evaluation.device_cost import Condition, DeviceCost, DeviceCosts
from stitchable.menu.condition import choose_condition, list_conditions

CONDITIONS = [
    Condition(batch=1, threads=2),
    Condition(batch=8, threads=2),
    Condition(batch=8, threads=2, runtime="compiled"),
    Condition(device="cuda", dtype="float16", batch=8),
]
PROFILE = [DeviceCosts(each, {"a[0:1]": DeviceCost(1.0, 2.0, 3)}) for each in CONDITIONS]


@pytest.mark.parametrize(
    ("wanted", "taken", "also"),
    [
        ({}, 0, [1, 2, 3]),
        ({"batch": 8}, 1, [2, 3]),
        ({"batch": 8, "runtime": "compiled", "dtype": None}, 2, []),
        ({"device": "cuda"}, 3, []),
    ],
)
def test_the_first_that_fits_is_taken_and_the_others_are_named(wanted, taken, also):
    found = choose_condition(PROFILE, wanted)
    assert found.costs is PROFILE[taken]
    assert list(found.also) == [CONDITIONS[each] for each in also]


def test_none_fits_names_those_there_are_and_the_command():
    with pytest.raises(StitchError) as error:
        choose_condition(PROFILE[:2], {"batch": 4, "threads": 2, "dtype": None}, run="runs/mine")
    assert str(error.value) == (
        "The profile holds no cost for batch 4, threads 2. Measured: "
        "cpu, eager, float32, batch 1, 2 threads; cpu, eager, float32, batch 8, 2 threads. Measure it with "
        "'stitchable profile runs/mine --batch 4 --threads 2'."
    )
    with pytest.raises(StitchError, match="Measured: nothing yet"):
        choose_condition([], {})


def test_many_are_not_all_listed():
    text = list_conditions([Condition(batch=batch) for batch in range(1, 10)])
    assert text.endswith("cpu, eager, float32, batch 6, 1 thread; and 3 more")
