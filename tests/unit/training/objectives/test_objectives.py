"""Every term against its formula, in float64 and by hand; nothing but the student gets a gradient."""

import copy

import pytest
import torch

from stitchable.training.loop import train
from stitchable.training.objective_options import TERMS, ObjectiveOptions
from stitchable.training.objectives.build import build_objective
from stitchable.training.objectives.distances import divergence, feature_distance, label_loss
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.schedule import ScheduleSampler

JOINED = "small[0:1]+medium[1:3]"


def shares(logits, temperature=1.0):
    powers = (logits / temperature).exp()
    return powers / powers.sum(1, keepdim=True)


def cross_entropy(logits, labels, smoothing=0.0):
    target = torch.full_like(logits, smoothing / logits.shape[1])
    target[torch.arange(len(labels)), labels] += 1 - smoothing
    return -(target * shares(logits).log()).sum(1).mean()


def kullback_leibler(logits, teacher, temperature):
    ours, theirs = shares(logits, temperature), shares(teacher, temperature)
    return temperature**2 * (theirs * (theirs / ours).log()).sum(1).mean()


def generator(seed):
    return torch.Generator().manual_seed(seed)


def same(found, expected):
    torch.testing.assert_close(found, expected.detach() if isinstance(found, float) else expected)


def test_the_distances_are_their_formulas():
    logits, teacher = (torch.randn(7, 4, generator=generator(seed)).double() for seed in (1, 2))
    labels = torch.tensor([0, 3, 1, 1, 2, 0, 3])
    for smoothing in (0.0, 0.3):
        found = label_loss(logits, labels, smoothing=smoothing)
        torch.testing.assert_close(found, cross_entropy(logits, labels, smoothing))
    soft = shares(teacher)
    torch.testing.assert_close(label_loss(logits, soft), -(soft * shares(logits).log()).sum(1).mean())
    for temperature in (0.5, 1.0, 4.0):
        found = divergence(logits, teacher, temperature=temperature)
        torch.testing.assert_close(found, kullback_leibler(logits, teacher, temperature))
    assert divergence(teacher, teacher, temperature=3.0).abs() < 1e-14


@pytest.mark.parametrize(("shape", "channels"), [((5, 3, 2, 2), 1), ((5, 4, 3), -1), ((5, 2, 2, 3), -1)])
def test_the_feature_distance_is_one_minus_r2(shape, channels):
    feature, target = (torch.randn(shape, generator=generator(seed)).double() + 3 for seed in (1, 2))
    rows, wanted = (each.movedim(channels, -1).reshape(-1, 3) for each in (feature, target))
    expected = sum(((rows[:, channel] - wanted[:, channel]) ** 2).sum() for channel in range(3)) / sum(
        ((wanted[:, channel] - wanted[:, channel].mean()) ** 2).sum() for channel in range(3)
    )
    torch.testing.assert_close(feature_distance(feature, target, channels=channels), expected)
    assert feature_distance(target, target, channels=channels) == 0
    means = target.mean([axis for axis in range(target.ndim) if axis != channels % target.ndim], keepdim=True)
    assert feature_distance(means.expand_as(target), target, channels=channels) == pytest.approx(1)
    assert torch.isfinite(feature_distance(feature, torch.ones_like(target), channels=channels))


def test_half_precision_is_compared_in_float32():
    logits = torch.randn(4, 5, generator=generator(0))
    half = logits.bfloat16()
    assert label_loss(half, torch.zeros(4, dtype=torch.int64)).dtype == torch.float32
    assert divergence(half, half + 1, temperature=2.0).dtype == torch.float32
    assert feature_distance(half, half + 1, channels=-1).dtype == torch.float32


def test_the_default_is_the_smoothed_cross_entropy(network, batch, loss):
    losses = loss(JOINED, smoothing=0.2)
    expected = cross_entropy(network(batch[0], JOINED), batch[1], 0.2)
    same(losses.total, expected)
    assert losses.terms == pytest.approx({"cross_entropy": expected.item()})
    assert losses.per_stitch == pytest.approx({network.space.stitch(JOINED): expected.item()})


def test_a_weighted_sum_of_several_stitches_is_their_mean(network, batch, loss):
    stitches = ["small", JOINED, "medium"]
    losses = loss(
        *stitches, cross_entropy=0.25, soft_distillation=2.0, hard_distillation=0.5, temperature=2.0
    )
    taught = loss.before(batch[0], "medium")  # the dearest anchor's original
    parts = []
    for stitch in stitches:
        logits = network(batch[0], stitch)
        terms = (
            cross_entropy(logits, batch[1]),
            cross_entropy(logits, taught.argmax(1)),
            kullback_leibler(logits, taught, 2.0),
        )
        parts.append(terms)
    sums = [0.25 * a + 0.5 * b + 2 * c for a, b, c in parts]
    same(losses.total, sum(sums) / 3)
    keys = [network.space.stitch(each) for each in stitches]
    assert losses.per_stitch == pytest.approx({k: s.item() for k, s in zip(keys, sums, strict=True)})
    names = ("cross_entropy", "hard_distillation", "soft_distillation")
    means = {name: sum(part[i].item() for part in parts) / 3 for i, name in enumerate(names)}
    assert losses.terms == pytest.approx(means)


@pytest.mark.parametrize(
    ("teacher", "of"),
    [("small", {"small": "small", JOINED: "small"}), ("end_anchor", {"small": "small", JOINED: "medium"})],
)
def test_a_teacher_is_the_original_of_an_anchor(network, batch, loss, teacher, of):
    losses = loss(*of, cross_entropy=0.0, soft_distillation=1.0, teacher=teacher)
    for stitch, original in of.items():
        expected = kullback_leibler(network(batch[0], stitch), loss.before(batch[0], original), 1.0)
        assert losses.per_stitch[network.space.stitch(stitch)] == pytest.approx(expected.item())


def test_a_teacher_may_be_another_model(network, batch, tiny_vit):
    other = tiny_vit("other", 10, seed=9).double()
    options = TrainOptions(
        objective=ObjectiveOptions(cross_entropy=0.0, hard_distillation=1.0, teacher="folder/other")
    )
    objective = build_objective(network, options, teacher=other)
    losses = objective(network, [network.space.stitch(JOINED)], *batch, step=0)
    same(losses.total, cross_entropy(network(batch[0], JOINED), other(batch[0]).argmax(1)))


def test_in_place_distillation_learns_from_the_dearest_which_learns_from_the_labels(network, batch, loss):
    stitches = ["small", "medium", JOINED]
    losses = loss(*stitches, cross_entropy=0.0, in_place_distillation=1.0, temperature=3.0, smoothing=0.1)
    dearest = network(batch[0], "medium")
    expected = cross_entropy(dearest, batch[1], 0.1)
    for stitch in ("small", JOINED):
        expected = expected + kullback_leibler(network(batch[0], stitch), dearest.detach(), 3.0)
    same(losses.total, expected / 3)
    given = torch.autograd.grad(losses.total, list(network.parameters()), allow_unused=True)
    wanted = torch.autograd.grad(expected / 3, list(network.parameters()), allow_unused=True)
    assert any(each is not None for each in given)
    for ours, theirs in zip(given, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_in_place_distillation_of_one_stitch_is_the_cross_entropy(network, batch, loss):
    losses = loss(JOINED, cross_entropy=0.0, in_place_distillation=1.0, smoothing=0.1)
    same(losses.total, cross_entropy(network(batch[0], JOINED), batch[1], 0.1))


def test_mixed_targets_are_learned_by_the_cross_entropy(network, batch):
    chosen = ObjectiveOptions(mixup=0.8, cutmix=1.0, soft_distillation=1.0)
    options = TrainOptions(objective=chosen, label_smoothing=0.1)
    objective = build_objective(network, options, seed=4)
    stitch = network.space.stitch(JOINED)
    losses = objective(network, [stitch], *batch, step=7)
    images, targets = objective.mixing(*batch, step=7)
    logits, taught = network(images, stitch), network(images, "medium")
    expected = -(targets.double() * shares(logits).log()).sum(1).mean() + kullback_leibler(logits, taught, 1)
    same(losses.total, expected)


@pytest.mark.parametrize("chosen", [{}, {"feature_matching": 1.0, "match_cut": -2}], ids=str)
def test_stitches_that_begin_alike_share_what_runs(network, batch, chosen):
    objective = build_objective(network, TrainOptions(objective=ObjectiveOptions(**chosen)))
    stitches, ran = list(network.space), []
    for name, anchor in network.anchors.items():
        for number, block in enumerate(anchor.model.blocks):
            block.register_forward_hook(lambda *hooked, step=(name, number): ran.append(step))
    alone = [objective(network, [stitch], *batch, step=0).total for stitch in stitches]
    ran.clear()
    together = objective(network, stitches, *batch, step=0)
    same(together.total, torch.stack(alone).mean())
    assert ran.count(("small", 0)) == 1
    assert len(ran) < sum(stitch.depth for stitch in stitches)


@pytest.mark.parametrize("build", ["stitched_vits", "stitched_resnets"])
def test_all_terms_together_train_in_bfloat16(request, build, labelled):
    network, records = request.getfixturevalue(build)(), []
    before = copy.deepcopy(network.state_dict())
    wanted = dict.fromkeys(TERMS, 0.5)
    options = TrainOptions(
        epochs=1,
        lr=1e-3,
        autocast="bfloat16",
        channels_last=build == "stitched_resnets",
        objective=ObjectiveOptions(**wanted, teacher="end_anchor", mixup=0.8, temperature=2.0),
    )
    train(
        network,
        lambda epoch: labelled(4, 8, side=8 if build == "stitched_vits" else 32),
        sampler=ScheduleSampler(network.space, [[network.space[-1 - step]] for step in range(4)]),
        steps_per_epoch=4,
        options=options,
        on_step=records.append,
    )
    after = network.state_dict()
    assert len(records) == 4
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    moved = {key.split(".")[0] for key in after if not torch.equal(after[key], before[key])}
    assert moved == {"anchors", "layers"}
