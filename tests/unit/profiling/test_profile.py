"""Predictions of latency against a clock whose time is work: sums that are known exactly."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from stitchable.errors import StitchError
from stitchable.evaluation.device_cost import Condition
from stitchable.profiling.profile import profile, threads
from stitchable.profiling.runtimes import check_condition


@pytest.fixture
def network(vit):
    from stitchable.network import StitchedNetwork

    return StitchedNetwork([vit("small", 16), vit("large", 24)]).eval()


def work(network, stitch, batch):
    """Operations of an extracted stitch, counted in one piece."""
    module = network.extract(stitch)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(batch, *network.input_spec.size))
    return counter.get_total_flops()


def test_a_prediction_is_the_sum_of_its_parts(network, work_clock):
    stitches, shares = list(network.space), []
    costs = profile(
        network, Condition(batch=2), stitches, check=2, seconds=0, clock=work_clock, on_progress=shares.append
    )
    expected = {str(stitch): work(network, stitch, 2) for stitch in stitches}
    assert len(set(expected.values())) > 3
    assert {stitch: cost.p50_ms for stitch, cost in costs.stitches.items()} == pytest.approx(expected)
    assert all(cost.p95_ms == pytest.approx(cost.p50_ms) for cost in costs.stitches.values())
    assert costs.error == pytest.approx(0)
    assert costs.notes["scale"] == {"small": pytest.approx(1), "large": pytest.approx(1)}
    assert costs.notes["error_memory_bytes"] == 0
    assert [len(row["stitch"].split("+")) for row in costs.notes["check"]] == [2, 2]
    assert shares[-1] == 1
    assert shares == sorted(shares)


def test_equal_parts_are_one_row_of_the_table(network, work_clock):
    costs = profile(network, Condition(), list(network.space), check=1, seconds=0, clock=work_clock)
    table = {tuple(row["parts"]): row for row in costs.notes["parts"]}
    blocks = table["small block 0", "small block 1", "small block 2"]
    assert blocks["calls"] == 3 * table[("small stem",)]["calls"]
    layers = [parts for parts in table if parts[0].endswith(" layer")]
    assert len(layers) == 1
    assert len(layers[0]) == len(network.space.layers)
    assert sum(map(len, table)) == 2 * (1 + 3 + 1) + len(network.space.layers)


def test_an_interrupted_measurement_is_kept(network, work_clock):
    def stop(share):
        raise KeyboardInterrupt

    kept = []
    with pytest.raises(KeyboardInterrupt):
        profile(
            network, Condition(), list(network.space), check=1, seconds=0, clock=work_clock,
            on_progress=stop, keep=kept.append,
        )  # fmt: skip
    assert kept[0].stitches["small[0:3]"].p50_ms == work(network, "small", 1)


def test_dtype_and_threads_are_those_of_the_condition(network, work_clock):
    profile(network, Condition(dtype="bfloat16"), [], check=0, seconds=0, clock=work_clock)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (Condition(runtime="egaer"), "Unknown runtime 'egaer'. Nearest: eager"),
        (Condition(dtype="float23"), "Unknown dtype 'float23'. Nearest: float32"),
        (Condition(batch=0), "--batch 0 is not positive"),
        (Condition(threads=-1), "--threads -1 is not positive"),
    ],
)
def test_conditions_that_cannot_be(condition, message):
    with pytest.raises(StitchError, match=message):
        check_condition(condition)


def test_what_does_not_run_is_named(network):
    network.anchors["large"].model.head = torch.nn.Linear(7, 10)
    with pytest.raises(StitchError, match=r"The head of large does not run with 1 images in float32 on cpu"):
        profile(network, Condition(), list(network.space))
