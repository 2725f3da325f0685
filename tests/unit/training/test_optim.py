import math

import pytest
import torch

from stitchable.training.optim import build_optimizer, build_schedule
from stitchable.training.options import TrainOptions


def by_parameter(optimizer):
    return {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_every_parameter_is_in_one_group_with_its_own_rate_and_decay(
    stitched_resnets, stitched_vits, optimizer
):
    options = TrainOptions(optimizer=optimizer, lr=1e-3, layer_lr=1e-2, weight_decay=0.3)
    for network in (stitched_vits(), stitched_resnets()):
        built = build_optimizer(network, options)
        listed = [parameter for group in built.param_groups for parameter in group["params"]]
        groups = by_parameter(built)
        assert len(listed) == len(groups) == len(list(network.parameters()))
        for name, parameter in network.named_parameters():
            group = groups[id(parameter)]
            room = name.split(".")[0]
            assert group["name"] == room
            assert group["lr"] == {"anchors": 1e-3, "layers": 1e-2}[room]
            assert group["weight_decay"] == (0.3 if parameter.ndim > 1 else 0.0), name
        undecayed = [
            name for name, each in network.named_parameters() if not groups[id(each)]["weight_decay"]
        ]
        assert all(
            name.endswith("bias") or ".norm" in name or ".bn" in name or "downsample.1" in name
            for name in undecayed
        )


def test_layers_learn_at_the_anchors_rate_unless_told_otherwise(stitched_vits):
    network = stitched_vits()
    assert {group["lr"] for group in build_optimizer(network, TrainOptions(lr=0.5)).param_groups} == {0.5}
    still = build_optimizer(network, TrainOptions(lr=0.5, layer_lr=0.0))
    assert {group["name"]: group["lr"] for group in still.param_groups} == {"anchors": 0.5, "layers": 0.0}


def test_the_optimisers_are_those_named(stitched_vits):
    network = stitched_vits()
    assert type(build_optimizer(network, TrainOptions())) is torch.optim.AdamW
    sgd = build_optimizer(network, TrainOptions(optimizer="sgd"))
    assert type(sgd) is torch.optim.SGD
    assert all(group["momentum"] == 0.9 and group["nesterov"] for group in sgd.param_groups)


def test_frozen_parameters_are_left_out(stitched_vits):
    network = stitched_vits()
    network.anchors["small"].requires_grad_(False)
    groups = by_parameter(build_optimizer(network, TrainOptions()))
    for name, parameter in network.named_parameters():
        assert (id(parameter) in groups) == (not name.startswith("anchors.small."))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_parameters_off_the_path_do_not_move(stitched_vits, noise, optimizer):
    """Not by decay, and not by the momentum that earlier steps have left."""
    network, images = stitched_vits(), noise(8)
    built = build_optimizer(network, TrainOptions(optimizer=optimizer, lr=0.1, weight_decay=0.5))

    def step(stitch):
        built.zero_grad(set_to_none=True)
        torch.autograd.backward(network(images, stitch).square().sum())
        before = {name: value.detach().clone() for name, value in network.named_parameters()}
        built.step()
        return {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}

    stitch = "small[0:1]+medium[1:3]"
    for each in ("small", "medium", stitch):
        on_path = {name for name, _ in network.extract(each).named_parameters()}
        for _ in range(2):
            moved = step(each)
            assert moved <= on_path
            assert len(moved) > 0.8 * len(on_path)


def shares(steps, **options):
    weight = torch.nn.Parameter(torch.zeros(1))
    schedule = build_schedule(torch.optim.SGD([weight], lr=1.0), TrainOptions(**options), steps=steps)
    return [rates[0] for rates in walk(schedule, steps + 3)]


def walk(schedule, steps):
    """Learning rates of all groups at every step."""
    seen = []
    for _ in range(steps):
        seen.append(schedule.get_last_lr())
        schedule.optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize(("steps", "warmup"), [(100, 10), (37, 4), (10, 0), (8, 7)])
@pytest.mark.parametrize("floor", [0.0, 0.05, 1.0])
def test_warm_up_is_linear_and_then_a_cosine_falls_to_the_floor(steps, warmup, floor):
    rates = shares(steps, warmup=warmup / steps, lr_floor=floor)
    for step in range(warmup):
        assert rates[step] == pytest.approx((step + 1) / (warmup + 1))
    for step in range(warmup, steps):
        turn = math.cos(math.pi * (step - warmup) / (steps - warmup))
        assert rates[step] == pytest.approx(floor + (1 - floor) * 0.5 * (1 + turn))
    assert rates[warmup] == 1.0
    assert rates[steps:] == [pytest.approx(floor)] * 3  # it stays there


def test_the_cosine_is_that_of_pytorch():
    steps, floor = 50, 0.1
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=floor)
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert shares(steps, warmup=0.0, lr_floor=floor)[:steps] == pytest.approx(expected)


@pytest.mark.parametrize("floor", [0.0, 0.2, 1.0])
def test_every_group_has_its_own_peak_and_its_own_floor(stitched_vits, floor):
    options = TrainOptions(lr=1e-4, layer_lr=1e-2, warmup=0.2, lr_floor=floor)
    optimizer = build_optimizer(stitched_vits(), options)
    names = [group["name"] for group in optimizer.param_groups]
    rates = walk(build_schedule(optimizer, options, steps=50), 51)
    seen = {name: [each[names.index(name)] for each in rates] for name in names}
    assert max(seen["anchors"]) == pytest.approx(1e-4)
    assert max(seen["layers"]) == pytest.approx(1e-2)
    assert min(seen["anchors"][20:]) == pytest.approx(floor * 1e-4)
    assert min(seen["layers"][20:]) == pytest.approx(floor * 1e-2)
    assert seen["layers"] == pytest.approx([100 * rate for rate in seen["anchors"]])


def test_a_group_of_rate_zero_stays_at_zero(stitched_vits):
    options = TrainOptions(lr=0.0, layer_lr=1e-2, lr_floor=0.5)
    optimizer = build_optimizer(stitched_vits(), options)
    names = [group["name"] for group in optimizer.param_groups]
    for rates in walk(build_schedule(optimizer, options, steps=20), 20):
        assert {rate for rate, name in zip(rates, names, strict=True) if name == "anchors"} == {0.0}


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
def test_short_trainings_have_a_schedule_too(steps, warmup):
    assert all(0 <= rate <= 1 for rate in shares(steps, warmup=warmup, lr_floor=0.0))
    assert shares(steps, warmup=warmup)[0] > 0
