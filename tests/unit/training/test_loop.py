import copy
import json
import math
from collections import Counter
from dataclasses import asdict

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.stitch import Stitch
from stitchable.training.loop import train
from stitchable.training.objectives.losses import Losses
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.sampler import Sampler
from stitchable.training.samplers.schedule import ScheduleSampler
from stitchable.training.samplers.uniform import UniformSampler

STITCHES = ["medium[0:3]", "small[0:1]+medium[1:3]"]


class Always(Sampler):
    """The same stitches in every step, in the order given; it keeps the losses that it is told."""

    def __init__(self, *stitches):
        self.stitches, self.told = tuple(map(Stitch.parse, stitches)), []

    def __call__(self, step, rank=0):
        return self.stitches

    def observe(self, step, losses):
        self.told.append((step, losses))


def cross_entropy(logits, labels, smoothing):
    """The formula: a share of the target's mass is spread evenly over all classes."""
    log_shares = logits - logits.exp().sum(1, keepdim=True).log()
    target = torch.full_like(log_shares, smoothing / logits.shape[1])
    target[torch.arange(len(labels)), labels] += 1 - smoothing
    return -(target * log_shares).sum(1).mean()


def state(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


class HandWritten:
    """AdamW (Loshchilov and Hutter 2019) and SGD with Nesterov momentum, formula by formula."""

    def __init__(self, named, options):
        self.named, self.options = list(named), options
        self.memory = {name: (0, 0.0, 0.0) for name, _ in self.named}

    @torch.no_grad()
    def step(self, share=1.0):
        options = self.options
        with_grad = [(name, each) for name, each in self.named if each.grad is not None]
        if options.clip_norm is not None:
            norm = math.sqrt(sum(each.grad.double().square().sum() for _, each in with_grad))
            for _, each in with_grad:
                each.grad *= min(1.0, options.clip_norm / (norm + 1e-6))
        for name, each in with_grad:
            is_layer = name.startswith("layers.")
            rate = options.layer_lr if is_layer and options.layer_lr is not None else options.lr
            decay = options.weight_decay if each.ndim > 1 else 0.0
            count, first, second = self.memory[name]
            if options.optimizer == "adamw":
                each *= 1 - share * rate * decay
                first = 0.9 * first + 0.1 * each.grad
                second = 0.999 * second + 0.001 * each.grad.square()
                centred = first / (1 - 0.9 ** (count + 1))
                spread = (second / (1 - 0.999 ** (count + 1))).sqrt() + 1e-8
                each -= share * rate * centred / spread
            else:
                grad = each.grad + decay * each
                first = 0.9 * first + grad if count else grad.clone()
                each -= share * rate * (grad + 0.9 * first)
            self.memory[name] = (count + 1, first, second)
            each.grad = None


@pytest.mark.parametrize("stitch", STITCHES)
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"label_smoothing": 0.0, "weight_decay": 0.0},
        {"clip_norm": 0.05, "layer_lr": 3e-2},
        {"clip_norm": 1e6},
        {"optimizer": "sgd", "layer_lr": 1e-1},
        {"optimizer": "sgd", "clip_norm": 0.1},
    ],
    ids=str,
)
def test_a_step_is_that_of_plain_torch_on_the_extracted_module(stitched_vits, labelled, stitch, chosen):
    # In float64: a key's bias has no gradient but rounding, which AdamW would blow up to a full step.
    network = stitched_vits().double()
    # SGD, unlike AdamW, shows in the weights whether gradients were clipped, so both are asked.
    options = TrainOptions(**{"epochs": 1, "lr": 1e-2, "weight_decay": 0.1, "warmup": 0.0, **chosen})
    ((images, labels),) = batch = [(images.double(), labels) for images, labels in labelled(1, 16)]
    module = network.extract(stitch).train()
    loss = cross_entropy(module(images), labels, options.label_smoothing)
    torch.autograd.backward(loss)
    HandWritten(module.named_parameters(), options).step()
    before, records = state(network), []
    train(
        network,
        lambda epoch: batch,
        sampler=Always(stitch),
        steps_per_epoch=1,
        options=options,
        on_step=records.append,
    )
    assert records[0].loss == pytest.approx(loss.item(), rel=1e-12)
    moved = dict(module.named_parameters())
    for key, value in network.state_dict().items():
        if key in moved:
            torch.testing.assert_close(value, moved[key].detach(), rtol=1e-7, atol=1e-9)
        else:
            assert torch.equal(value, before[key]), key
    assert any(not torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("chosen", [{}, {"optimizer": "sgd", "clip_norm": 0.5}], ids=str)
def test_many_steps_are_those_of_a_plain_loop(stitched_vits, labelled, chosen):
    """Schedule, momentum and sampler together, in float64 so that rounding does not build up."""
    network = stitched_vits().double()
    options = TrainOptions(epochs=2, lr=3e-3, layer_lr=1e-2, warmup=0.25, lr_floor=0.1, **chosen)
    batches = [(images.double(), labels) for images, labels in labelled(4, 8)]
    sampler = UniformSampler(network.space, seed=5)
    twin = copy.deepcopy(network).train()
    hand, losses = HandWritten(twin.named_parameters(), options), []
    for step in range(8):
        images, labels = batches[step % 4]
        turn = (1 + math.cos(math.pi * (step - 2) / 6)) / 2
        share = (step + 1) / 3 if step < 2 else 0.1 + 0.9 * turn
        loss = cross_entropy(twin(images, *sampler(step)), labels, options.label_smoothing)
        torch.autograd.backward(loss)
        hand.step(share)
        losses.append(loss.item())
    records = []
    train(
        network,
        lambda epoch: batches,
        sampler=sampler,
        steps_per_epoch=4,
        options=options,
        on_step=records.append,
    )
    assert [record.loss for record in records] == pytest.approx(losses, rel=1e-9)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[key], rtol=1e-7, atol=1e-9)


SHARING = ("medium[0:3]", "small[0:2]+medium[1:3]", "small[0:1]+medium[0:3]", "small[0:3]")


@pytest.mark.parametrize("chosen", [{}, {"clip_norm": 0.05}, {"optimizer": "sgd"}], ids=str)
def test_several_stitches_train_their_mean_in_one_step(stitched_vits, labelled, chosen):
    network = stitched_vits().double()
    options = TrainOptions(**{"epochs": 1, "lr": 1e-2, "weight_decay": 0.1, "warmup": 0.0, **chosen})
    batches = [(images.double(), labels) for images, labels in labelled(3, 8)]
    options_lr = [(1 + math.cos(math.pi * step / 3)) / 2 for step in range(3)]
    twin = copy.deepcopy(network).train()
    hand, expected = HandWritten(twin.named_parameters(), options), []
    for (images, labels), share in zip(batches, options_lr, strict=True):
        losses = [cross_entropy(twin(images, each), labels, options.label_smoothing) for each in SHARING]
        for loss in losses:
            torch.autograd.backward(loss / len(SHARING))
        hand.step(share)
        expected.append([loss.item() for loss in losses])
    records, sampler = [], Always(*SHARING)
    summary = train(
        network,
        lambda epoch: batches,
        sampler=sampler,
        steps_per_epoch=3,
        options=options,
        on_step=records.append,
    )
    for record, losses in zip(records, expected, strict=True):
        assert record.stitches == list(SHARING)
        assert record.losses == pytest.approx(losses, rel=1e-9)
        assert record.loss == pytest.approx(sum(losses) / len(SHARING), rel=1e-9)
    told = [dict(zip(map(str, losses), losses.values(), strict=True)) for _, losses in sampler.told]
    assert told == [dict(zip(SHARING, record.losses, strict=True)) for record in records]
    assert [step for step, _ in sampler.told] == [0, 1, 2]
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[key], rtol=1e-7, atol=1e-9)
    assert summary.counts == dict.fromkeys(SHARING, 3)
    assert summary.macs_alone == 3 * sum(network.cost(each).macs for each in SHARING)
    # Three of them begin with the stem and block 0 of small, two with block 1 as well.
    outline = network.space.outlines["small"]
    saved = 2 * outline.stem.macs + 2 * outline.blocks[0].macs + outline.blocks[1].macs
    assert summary.macs_run == summary.macs_alone - 3 * saved


def test_a_loss_that_is_not_finite_names_all_stitches_of_the_step(stitched_vits, labelled):
    network, batches = stitched_vits(), labelled(1, 4)
    batches[0][0][0] = float("nan")
    sampler = Always("small[0:3]", "medium[0:3]")
    with pytest.raises(StitchError, match=r"The loss of small\[0:3\], medium\[0:3\] is nan at step 0"):
        train(network, lambda epoch: batches, sampler=sampler, steps_per_epoch=1)
    assert sampler.told == []


def test_steps_off_the_path_leave_a_parameter_alone(stitched_vits, labelled):
    network, options = stitched_vits(), TrainOptions(epochs=1, lr=1e-2, weight_decay=0.5, warmup=0.0)
    order = ["small", "medium", "small", "small[0:1]+medium[1:3]", "medium"]
    order = [str(network.space.stitch(each)) for each in order]
    states = [state(network)]
    train(
        network,
        lambda epoch: labelled(5, 8),
        sampler=ScheduleSampler(network.space, [[stitch] for stitch in order]),
        steps_per_epoch=5,
        options=options,
        on_step=lambda record: states.append(state(network)),
    )
    for step, stitch in enumerate(order):
        path = {name for name, _ in network.extract(stitch).named_parameters()}
        for key in states[0]:
            if key not in path:
                assert torch.equal(states[step][key], states[step + 1][key]), (stitch, key)
        assert any(not torch.equal(states[step][key], states[step + 1][key]) for key in path)


def test_records_say_what_was_trained(stitched_vits, labelled):
    network, records = stitched_vits(), []
    sampler = UniformSampler(network.space, seed=2)
    options = TrainOptions(epochs=3, lr=1e-3, layer_lr=1e-2, warmup=0.0)
    summary = train(
        network,
        lambda epoch: labelled(4, 8 if epoch else 6),
        sampler=sampler,
        steps_per_epoch=4,
        options=options,
        on_step=records.append,
    )
    assert [record.step for record in records] == list(range(12))
    assert [record.epoch for record in records] == [0] * 4 + [1] * 4 + [2] * 4
    assert [record.images for record in records] == [6] * 4 + [8] * 8
    assert [record.stitches for record in records] == [[str(*sampler(step))] for step in range(12)]
    assert [record.losses for record in records] == [[record.loss] for record in records]
    assert [record.layer_lr for record in records] == pytest.approx([10 * each.lr for each in records])
    assert records[0].lr == 1e-3
    assert [record.seconds for record in records] == sorted(record.seconds for record in records)
    assert summary.steps == 12
    assert summary.counts == Counter(str(*sampler(step)) for step in range(12))
    macs = sum(network.cost(*sampler(step)).macs for step in range(12))
    assert (summary.macs_run, summary.macs_alone) == (macs, macs)
    line = json.loads(json.dumps(asdict(records[5])))
    assert line.keys() == {
        *("step", "epoch", "stitches", "loss", "losses", "terms", "lr", "layer_lr", "images", "seconds")
    }


def test_every_epoch_asks_for_its_own_batches(stitched_vits, labelled):
    asked = []

    def batches(epoch):
        asked.append(epoch)
        return labelled(2, 4, seed=epoch)

    network = stitched_vits()
    train(
        network,
        batches,
        sampler=UniformSampler(network.space),
        steps_per_epoch=2,
        options=TrainOptions(epochs=3),
    )
    assert asked == [0, 1, 2]


def test_the_same_seed_gives_the_same_weights(stitched_vits, labelled):
    def weights(seed):
        network = stitched_vits()
        train(
            network,
            lambda epoch: labelled(6, 8, seed=epoch),
            sampler=UniformSampler(network.space, seed=seed),
            steps_per_epoch=6,
            options=TrainOptions(epochs=2, lr=1e-2),
        )
        return state(network)

    assert same(weights(0), weights(0))
    assert not same(weights(0), weights(1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_stitch_and_step_and_takes_no_step(stitched_vits, labelled, value):
    network, records, states = stitched_vits(), [], []
    batches = labelled(5, 8)
    batches[3][0][2] = value
    sampler = UniformSampler(network.space, seed=1)

    def remember(record):
        records.append(record)
        states.append(state(network))

    with pytest.raises(StitchError) as error:
        train(
            network,
            lambda epoch: batches,
            sampler=sampler,
            steps_per_epoch=5,
            options=TrainOptions(epochs=1, lr=1e-2, warmup=0.0),
            on_step=remember,
        )
    assert f"The loss of {sampler(3)[0]} is nan at step 3." in str(error.value)
    assert [record.step for record in records] == [0, 1, 2]
    assert same(state(network), states[-1])
    assert not any(module.training for module in network.modules())


def test_weights_that_the_last_step_broke_are_not_handed_over(stitched_vits, labelled):
    """A loss of zero whose gradient is infinite: nothing but the weights can tell."""

    def broken(network, stitches, images, labels, *, step):
        logits = network(images, stitches[0])
        return Losses(((logits - logits.detach()).abs() + 0.0).sqrt().sum(), {stitches[0]: 0.0})

    with pytest.raises(StitchError, match=r"After 1 steps .* is not finite\. Lower train\.lr"):
        train(
            stitched_vits(),
            lambda epoch: labelled(1, 8),
            sampler=Always("small[0:3]"),
            steps_per_epoch=1,
            options=TrainOptions(epochs=1),
            objective=broken,
        )


@pytest.mark.parametrize("full", [0, 1])
def test_an_epoch_without_a_batch_is_refused(stitched_vits, labelled, full):
    network = stitched_vits()
    with pytest.raises(StitchError, match="An epoch gave no batch"):
        train(
            network,
            lambda epoch: labelled(1, 4) if epoch < full else [],
            sampler=UniformSampler(network.space),
            steps_per_epoch=1,
            options=TrainOptions(epochs=2),
        )
    assert not network.training


def test_training_lowers_the_loss_of_every_stitch(stitched_vits, labelled):
    network = stitched_vits()
    ((images, labels),) = batch = labelled(1, 32)

    def losses():
        with torch.no_grad():
            return torch.stack([cross_entropy(network(images, each), labels, 0.0) for each in network.space])

    before = losses()
    train(
        network,
        lambda epoch: batch,
        sampler=UniformSampler(network.space),
        steps_per_epoch=1,
        options=TrainOptions(epochs=60, lr=1e-2),
    )
    after = losses()
    assert (after < before).all()
    assert after.mean() < 0.8 * before.mean()
