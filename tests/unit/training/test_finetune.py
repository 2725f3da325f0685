import copy
import math

import pytest
import torch
import torch.nn.functional as F

from stitchable.errors import StitchError
from stitchable.training.finetune import build_finetune_optimizer, finetune
from stitchable.training.options import FinetuneOptions

HEAD = {"fc.weight", "fc.bias"}


@pytest.fixture
def model(tiny_resnet):
    return tiny_resnet("a", (1, 1, 1, 1), 4).model.double()


@pytest.fixture
def batches(labelled):
    made = [(images.double(), labels) for images, labels in labelled(3, 8, side=32)]
    return lambda epoch: made


def state(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def run(model, batches, **chosen):
    return list(finetune(model, batches, head=HEAD, steps_per_epoch=3, options=FinetuneOptions(**chosen)))


def test_the_first_epochs_train_the_head_alone(model, batches):
    states = [state(model)]
    options = FinetuneOptions(epochs=3, head_epochs=2, lr=1e-2, batch_norm="running")
    trained = []
    for record in finetune(model, batches, head=HEAD, steps_per_epoch=3, options=options):
        assert not any(part.training for part in model.modules())
        trained.append(record.trained)
        states.append(state(model))
    assert trained == ["head", "head", "all"]
    for epoch, moved in ((0, HEAD), (1, HEAD)):
        before, after = states[epoch], states[epoch + 1]
        assert {key for key in after if not torch.equal(before[key], after[key])} == moved
    last = {key for key in states[3] if not torch.equal(states[2][key], states[3][key])}
    assert last == set(states[3])  # BatchNorm's statistics run too
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("batch_norm", ["frozen", "running"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_training_is_that_of_a_plain_loop(model, batches, batch_norm, optimizer):
    chosen = {"epochs": 2, "head_epochs": 0, "lr": 1e-3, "head_lr": 1e-2, "lr_floor": 0.1}
    chosen |= {"warmup": 0.0, "weight_decay": 0.1, "label_smoothing": 0.2, "clip_norm": 0.5}
    twin = copy.deepcopy(model).train()
    for part in twin.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.train(batch_norm == "running")
    groups = [
        {
            "params": [parameter],
            "initial": 1e-2 if name in HEAD else 1e-3,
            "weight_decay": 0.1 if parameter.ndim > 1 else 0.0,
        }
        for name, parameter in twin.named_parameters()
    ]
    plain = (
        torch.optim.AdamW(groups)
        if optimizer == "adamw"
        else torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    )
    losses = []
    for step in range(6):
        images, labels = batches(0)[step % 3]
        for group in plain.param_groups:
            group["lr"] = group["initial"] * (0.1 + 0.9 * (1 + math.cos(math.pi * step / 6)) / 2)
        loss = F.cross_entropy(twin(images), labels, label_smoothing=0.2)
        plain.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
        plain.step()
        losses.append(loss.item())
    records = run(model, batches, batch_norm=batch_norm, optimizer=optimizer, **chosen)
    assert [record.loss for record in records] == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:]) / 3])
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[key], rtol=1e-7, atol=1e-9)


def test_channels_last_changes_the_layout_and_not_the_numbers(model, batches):
    seen, twin = [], copy.deepcopy(model)
    model.layer1.register_forward_hook(
        lambda part, given, out: seen.append(out.is_contiguous(memory_format=torch.channels_last))
    )
    chosen = {"epochs": 2, "head_epochs": 1, "lr": 1e-3}
    records = run(model, batches, channels_last=True, **chosen)
    expected = run(twin, batches, **chosen)
    assert seen == [True] * 6
    assert all(parameter.is_contiguous() for parameter in model.parameters())
    assert [record.loss for record in records] == pytest.approx([record.loss for record in expected])
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[key], rtol=1e-7, atol=1e-9)


def test_records_say_what_was_trained_and_how_fast(model, batches):
    asked = []
    records = run(
        model,
        lambda epoch: asked.append(epoch) or batches(epoch),
        epochs=3,
        head_epochs=1,
        lr=1e-3,
        head_lr=4e-3,
        warmup=0.0,
    )
    share = [(1 + math.cos(math.pi * step / 9)) / 2 for step in (2, 5, 8)]
    assert asked == [record.epoch for record in records] == [0, 1, 2]
    assert [record.head_lr for record in records] == pytest.approx([4e-3 * each for each in share])
    assert [record.lr for record in records] == pytest.approx([0, 1e-3 * share[1], 1e-3 * share[2]])
    assert [record.seconds for record in records] == sorted(record.seconds for record in records)


def test_the_head_learns_at_the_same_rate_unless_told_otherwise(model):
    options = FinetuneOptions(lr=2e-3, head_lr=None)
    built = build_finetune_optimizer(model, HEAD, options)
    assert {group["lr"] for group in built.param_groups} == {2e-3}
    assert {group["name"] for group in built.param_groups} == {"backbone", "head"}
    assert sum(len(group["params"]) for group in built.param_groups) == len(list(model.parameters()))


def test_a_loss_that_is_not_finite_is_refused_and_the_model_left_in_order(model, batches):
    bad = [(images.clone(), labels) for images, labels in batches(0)]
    bad[1][0][0] = float("nan")
    model.conv1.weight.requires_grad_(False)
    with pytest.raises(StitchError, match=r"The loss of the model is nan at step 1\. Lower finetune\.lr"):
        run(model, lambda epoch: bad, epochs=1, head_epochs=1)
    assert [name for name, each in model.named_parameters() if not each.requires_grad] == ["conv1.weight"]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(part.training for part in model.modules())


def test_an_epoch_without_a_batch_is_refused(model):
    with pytest.raises(StitchError, match="An epoch gave no batch"):
        run(model, lambda epoch: [], epochs=1)
