"""What is frozen keeps its bits; a low-rank update is nothing at first and a plain weight in the end."""

import copy

import pytest
import torch
from torch.nn.utils import parametrize

from stitchable.anchors.vectors import vector_names
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.training.guard_options import GuardOptions
from stitchable.training.loop import train
from stitchable.training.optim import build_optimizer
from stitchable.training.options import TrainOptions
from stitchable.training.parts import part_names
from stitchable.training.samplers.schedule import ScheduleSampler
from stitchable.training.samplers.uniform import UniformSampler
from stitchable.training.tuning import LowRankUpdate, Tuning, merge_low_rank


def state(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def run(network, batches, *, steps=6, **chosen):
    train(
        network,
        lambda epoch: batches[:steps],
        sampler=UniformSampler(network.space, seed=1),
        steps_per_epoch=steps,
        options=TrainOptions(**{"epochs": 1, "lr": 1e-2, "warmup": 0.0, **chosen}),
    )


@pytest.mark.parametrize("batch_norm", ["frozen", "running"])
@pytest.mark.parametrize("tune", ["layers", "low_rank_layers"])
def test_frozen_anchors_keep_every_bit(stitched_resnets, labelled, tune, batch_norm):
    network = stitched_resnets()
    before = state(network)
    run(network, labelled(12, 4, side=32), steps=12, tune=tune, batch_norm=batch_norm, weight_decay=0.5)
    after = network.state_dict()
    assert after.keys() == before.keys()
    moved = {key for key in after if not torch.equal(after[key], before[key])}
    assert moved
    assert all(key.startswith("layers.") for key in moved)
    assert {key.rpartition(".")[2] for key in moved} == {"weight", "bias"}
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("build", ["stitched_vits", "stitched_resnets"])
@pytest.mark.parametrize("tune", ["norms", "biases"])
@torch.no_grad()
def test_what_joints_own_moves_and_no_anchor(request, labelled, noise, build, tune):
    network = request.getfixturevalue(build)()
    side = network.input_spec.size[1]
    images, before = noise(3, side=side), state(network)
    logits = {name: anchor(images) for name, anchor in network.anchors.items()}
    batches = labelled(20, 4, side=side)
    with torch.enable_grad():
        run(network, batches, steps=20, tune=tune, batch_norm="running", weight_decay=0.5, clip_norm=1.0)
    after = network.state_dict()
    own = {key for key in after if key.startswith("behind.")}
    assert after.keys() - own == before.keys()
    moved = {key for key in before if not torch.equal(after[key], before[key])}
    assert moved == {key for key in before if key.startswith("layers.")}
    for name, expected in logits.items():
        assert torch.equal(network.anchors[name](images), expected)
        assert torch.equal(network(images, name), expected)
    sampler = UniformSampler(network.space, seed=1)  # the one that was trained with
    crossed = {joint for step in range(20) for each in sampler(step) for joint in network.space.path(each)}
    for joint in network.space.joints:
        changed = {
            name
            for name, value in network.behind[str(joint)].own().items()
            if not torch.equal(value, network.anchors[joint.end].model.get_parameter(name))
        }
        assert bool(changed) == (joint in crossed), joint
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_anchors_and_what_joints_own_move_together(stitched_vits, labelled):
    network = stitched_vits()
    before = state(network)
    sampler = UniformSampler(network.space, seed=1)
    stitch = next(each for step in range(9) for each in sampler(step) if network.space.path(each))
    joint = network.space.path(stitch)[0]
    schedule = ScheduleSampler(network.space, [(stitch,)])
    train(
        network,
        lambda epoch: labelled(3, 4),
        sampler=schedule,
        steps_per_epoch=3,
        options=TrainOptions(epochs=1, lr=1e-2, tune="all_norms"),
    )
    after = network.state_dict()
    moved = {key for key in before if not torch.equal(after[key], before[key])}
    copies = network.behind[str(joint)].own()
    assert copies
    end = f"anchors.{joint.end}.model."
    for name, value in copies.items():
        # Behind the joint the copy is used, and the anchor's own is not.
        assert not torch.equal(value, before[end + name]), name
        assert end + name not in moved, name
    assert any(key.startswith(end) for key in moved)
    assert any(key.startswith(f"anchors.{joint.front}.") for key in moved)


@pytest.mark.parametrize("engine", [{}, {"checkpoint_activations": True}], ids=str)
@pytest.mark.parametrize("build", ["stitched_vits", "stitched_resnets"])
def test_training_them_is_training_the_stitch_alone(request, labelled, build, engine):
    """The extracted module, its end anchor's norms and its stitching layer moved by hand."""
    network = request.getfixturevalue(build)().double()
    stitch = [each for each in network.space if len(each.segments) == 2][1]
    (joint,), batches = network.space.path(stitch), labelled(3, 4, side=network.input_spec.size[1])
    batches = [(images.double(), labels) for images, labels in batches]
    alone = network.extract(stitch)
    end, norms = alone.anchors[joint.end].model, vector_names(network.anchors[joint.end].model, "norms")
    held = dict(end.named_parameters())
    own = {name: held[name] for name in norms if name in held}
    moving = [*alone.layers.parameters(), *own.values()]
    optimizer = torch.optim.SGD(moving, lr=0.1, momentum=0.9, nesterov=True)
    for images, labels in batches:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(alone(images), labels).backward()
        optimizer.step()
    train(
        network,
        lambda epoch: batches,
        sampler=ScheduleSampler(network.space, [[stitch]]),
        steps_per_epoch=3,
        options=TrainOptions(
            epochs=1,
            lr=0.1,
            tune="norms",
            optimizer="sgd",
            warmup=0.0,
            lr_floor=1.0,
            label_smoothing=0.0,
            weight_decay=0.0,
            **engine,
        ),
    )
    found = network.behind[str(joint)].own()
    assert own.keys() == found.keys()
    for name, value in own.items():
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-14)
        assert not torch.equal(value, network.anchors[joint.end].model.get_parameter(name))
    for name, value in alone.layers.state_dict().items():
        torch.testing.assert_close(network.layers.state_dict()[name], value, rtol=1e-12, atol=1e-14)


def test_what_joints_own_stays_where_something_else_is_tuned(stitched_vits, labelled):
    network = stitched_vits()
    run(network, labelled(6, 4), tune="norms")
    before = state(network)
    run(network, labelled(6, 4), tune="layers")
    after = network.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in after if not key.startswith("layers."))
    with pytest.raises(StitchError, match="have norms of their own already"):
        run(network, labelled(1, 4), tune="biases")
    run(network, labelled(6, 4), tune="all")
    moved = {key.split(".")[0] for key in after if not torch.equal(after[key], before[key])}
    assert moved == {"layers", "anchors", "behind"}


def test_there_is_nothing_to_guard_where_no_anchor_changes():
    for tune in ("norms", "biases"):
        with pytest.raises(StitchError, match=rf"limit is 0\.5; with train\.tune {tune} no anchor changes"):
            TrainOptions(tune=tune, guard=GuardOptions(every=5, limit=0.5))
        TrainOptions(tune=tune, guard=GuardOptions(every=5))


def test_frozen_anchors_run_as_they_were_fitted(stitched_vits):
    network = stitched_vits(drop_path_rate=0.5)
    tuning = Tuning(network, TrainOptions(tune="layers"))
    tuning.train_mode()
    assert not any(part.training for anchor in network.anchors.values() for part in anchor.modules())
    assert all(layer.training for layer in network.layers.values())
    tuning.finish()


def test_a_frozen_anchor_alone_trains_nothing(stitched_vits, labelled):
    network = stitched_vits()
    before = state(network)
    for optimizer in ("adamw", "sgd"):
        train(
            network,
            lambda epoch: labelled(2, 4),
            sampler=ScheduleSampler(network.space, [[network.space.stitch("small")]]),
            steps_per_epoch=2,
            options=TrainOptions(epochs=1, tune="layers", optimizer=optimizer, clip_norm=1.0),
        )
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("build", ["stitched_vits", "stitched_resnets"])
def test_a_low_rank_update_is_nothing_at_first(request, build, noise):
    network = request.getfixturevalue(build)()
    images = noise(3, side=8 if build == "stitched_vits" else 32)
    stitch = next(each for each in network.space if len(each.segments) > 1)
    before, weights = network(images, stitch), state(network)
    tuning = Tuning(network, TrainOptions(tune="low_rank", rank=2))
    assert torch.equal(network(images, stitch), before)
    trained = {name for name, each in network.layers.named_parameters() if each.requires_grad}
    assert {name.rpartition(".")[2] for name in trained} == {"down", "up", "bias"}
    tuning.finish()
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())


def test_the_update_is_b_times_a_over_the_rank():
    weight = torch.randn(5, 7, 1, 1, generator=torch.Generator().manual_seed(0)).double()
    update = LowRankUpdate(weight, 3, torch.Generator().manual_seed(1))
    assert update.up.shape == (5, 3)
    assert update.down.shape == (3, 7)
    assert not update.up.any()
    bound = 7**-0.5  # Kaiming's for a = √5: √(6 / (6 · 7))
    assert update.down.abs().max() <= bound
    assert update.down.abs().max() > bound / 2
    with torch.no_grad():
        update.up.normal_(generator=torch.Generator().manual_seed(2))
    expected = weight.clone()
    for i in range(5):
        for j in range(7):
            expected[i, j] += sum(update.up[i, r] * update.down[r, j] for r in range(3)) / 3
    torch.testing.assert_close(update(weight), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(update(weight), expected)
    assert LowRankUpdate(weight, 64, torch.Generator()).rank == 5


def test_the_merged_network_is_the_trained_one(stitched_vits, labelled, noise, tmp_path):
    network = stitched_vits().double()
    before, images = state(network), noise(4).double()
    tuning = Tuning(network, TrainOptions(tune="low_rank_layers", rank=2))
    with torch.no_grad():
        for number, parameter in enumerate(each for each in network.parameters() if each.requires_grad):
            parameter.normal_(generator=torch.Generator().manual_seed(number))
    trained = {stitch: network(images, stitch) for stitch in network.space}
    assert any(parametrize.is_parametrized(layer.projection) for layer in network.layers.values())
    tuning.finish()
    assert not any(parametrize.is_parametrized(module) for module in network.modules())
    assert network.state_dict().keys() == before.keys()
    for stitch, logits in trained.items():
        torch.testing.assert_close(network(images, stitch), logits, rtol=1e-12, atol=1e-12)
    for name, layer in network.layers.items():
        change = layer.projection.weight - before[f"layers.{name}.projection.weight"]
        assert torch.linalg.matrix_rank(change, rtol=1e-9) == 2
        assert type(layer.projection) is torch.nn.Linear
        assert isinstance(layer.projection.weight, torch.nn.Parameter)
    network.float().save_pretrained(tmp_path)
    read = StitchedNetwork.from_pretrained(tmp_path)
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in read.state_dict().items())


def test_training_of_low_rank_moves_within_that_rank(stitched_vits, labelled):
    network = stitched_vits()
    before = state(network)
    run(network, labelled(10, 8), steps=10, tune="low_rank", rank=1, weight_decay=0.0)
    for name, layer in network.layers.items():
        change = layer.projection.weight - before[f"layers.{name}.projection.weight"]
        assert torch.linalg.matrix_rank(change.double(), rtol=1e-3) == 1
    assert not torch.equal(
        network.state_dict()["anchors.small.model.head.weight"], before["anchors.small.model.head.weight"]
    )


def test_the_network_is_in_order_after_a_failure(stitched_vits, labelled):
    network = stitched_vits()
    before = state(network)
    with pytest.raises(StitchError, match="names no part"):
        run(network, labelled(1, 4), tune="low_rank_layers", lr_multipliers={"smal.stem": 0.1})
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    merge_low_rank(network)  # has nothing to do


def test_every_parameter_has_a_part(stitched_vits, stitched_resnets):
    for network in (stitched_vits(), stitched_resnets()):
        names = part_names(network)
        assert set(names) == set(network.parameters())
        for anchor, each in network.anchors.items():
            parts = {names[parameter] for parameter in each.parameters()}
            assert parts == {f"{anchor}.{part}" for part in ("stem", "head")} | {
                f"{anchor}.blocks.{number}" for number in range(each.depth)
            }
    network.own_behind_joints("norms")
    names = part_names(network)
    names = {name: names[parameter] for name, parameter in network.named_parameters()}
    joint = network.space.joints[0]
    assert names[f"behind.{joint}.layer4.0.bn1.weight"] == f"behind.{joint}"
    assert names["anchors.deep.model.conv1.weight"] == "deep.stem"
    assert names["anchors.deep.model.fc.bias"] == "deep.head"
    assert names["anchors.deep.model.layer2.0.conv1.weight"] == "deep.blocks.4"


def test_the_longest_name_sets_the_learning_rate(stitched_resnets):
    network = stitched_resnets()
    network.own_behind_joints("biases")
    owner = str(network.space.joints[1])
    multipliers = {
        "behind": 4.0,
        f"behind.{owner}": 5.0,
        "deep": 0.5,
        "anchors.deep.blocks": 0.25,
        "deep.blocks.1": 3.0,
        "shallow.head": 0.0,
    }
    options = TrainOptions(lr=1e-2, layer_lr=1e-1, lr_multipliers={**multipliers, "layers": 2.0})
    optimizer = build_optimizer(network, options)
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    decays = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        factor = 1.0
        if name.startswith("anchors.deep.model."):
            factor = 0.25 if ".layer" in name else 0.5
            factor = 3.0 if ".layer1.1." in name else factor
        elif name.startswith("anchors.shallow.model.fc."):
            factor = 0.0
        elif name.startswith("behind."):
            factor = 5.0 if name.startswith(f"behind.{owner}.") else 4.0
        base = 2e-1 if name.startswith("layers.") else 1e-2
        assert rates[parameter] == pytest.approx(base * factor, abs=0), name
        assert decays[parameter] == (0.05 if parameter.ndim > 1 else 0.0)
    assert len(rates) == len(list(network.parameters()))
    last = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert last["anchors"] == 1e-2  # what the log shows is the rate without a multiplier


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("smal.stem", "small.stem"),
        ("small.blocks.9", "small.blocks"),
        ("small.model", "small"),
        ("", "small"),
    ],
)
def test_an_unknown_part_is_refused_with_the_nearest(stitched_vits, name, near):
    with pytest.raises(StitchError, match=rf"train\.lr_multipliers names no part '{name}'\. .*{near}"):
        build_optimizer(stitched_vits(), TrainOptions(lr_multipliers={name: 0.1}))


def test_nothing_to_tune_is_refused(stitched_vits):
    network = copy.deepcopy(stitched_vits()).requires_grad_(False)
    with pytest.raises(StitchError, match="Nothing is tuned"):
        build_optimizer(network, TrainOptions())
