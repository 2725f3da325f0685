"""The guard sees a drop that was made on purpose, answers it, and remembers what it has to."""

import copy
import json
from collections import Counter
from dataclasses import asdict, replace

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.training.anchor_drop import AnchorDropError, count_right
from stitchable.training.guard import AnchorGuard
from stitchable.training.guard_options import GuardOptions
from stitchable.training.loop import train
from stitchable.training.objectives.build import build_objective
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.schedule import ScheduleSampler

JOINED = "small[0:1]+medium[1:3]"


@pytest.fixture
def network(stitched_vits):
    return stitched_vits()


@pytest.fixture
def images(network, labelled):
    """Images that the anchors get right for the most part: three of four labels are the medium one's."""
    made = []
    for batch, labels in labelled(4, 25, seed=8):
        with torch.no_grad():
            wanted = network(batch, "medium").argmax(1)
        made.append((batch, torch.where(torch.arange(25) % 4 == 0, labels, wanted)))
    return lambda: made


def right(network, name, batches):
    """One image after the other."""
    with torch.no_grad():
        return sum(
            int(network(image[None], name).argmax()) == int(label)
            for images, labels in batches
            for image, label in zip(images, labels, strict=True)
        )


def spoil(network, name="medium", factor=-1.0):
    """Turn an anchor's answers upside down."""
    with torch.no_grad():
        network.anchors[name].model.head.weight.mul_(factor)
        network.anchors[name].model.head.bias.mul_(factor)


def guard_of(images, **chosen):
    return AnchorGuard(images, GuardOptions(**{"every": 5, **chosen}), seed=2)


def test_a_drop_is_counted_image_by_image(network, images):
    seen = []
    guard = AnchorGuard(images, GuardOptions(every=5), on_record=seen.append)
    before = {name: right(network, name, images()) for name in ("small", "medium")}
    guard.begin(network)
    spoil(network)
    network.train()
    guard.measure(network, 5)
    assert all(part.training for part in network.modules())
    network.eval()
    after = {name: right(network, name, images()) for name in ("small", "medium")}
    assert before["medium"] - after["medium"] > 30
    assert seen == list(guard.records.values())
    for record in seen:
        assert record.top1 == after[record.anchor]
        assert record.original_top1 == before[record.anchor]
        assert record.drop == before[record.anchor] - after[record.anchor]
        assert (record.images, record.step, record.level) == (100, 5, 0)


def test_it_is_measured_every_so_many_steps(network, images):
    seen = []
    guard = AnchorGuard(images, GuardOptions(every=3), on_record=lambda record: seen.append(record.step))
    guard.begin(network)
    for steps in range(1, 11):
        guard.after_step(network, steps)
    assert seen == [3, 3, 6, 6, 9, 9]


def test_pressure_rises_above_the_limit_and_falls_below_half_of_it(network, images):
    guard = guard_of(images, limit=10.0, step_share=0.1, distillation=0.5)
    guard.begin(network)
    stitch = network.space.stitch("medium")
    for times in range(1, 7):
        if times == 1:
            spoil(network)
        guard.measure(network, times)
        level = min(times, 4)
        assert guard.records["medium"].level == level
        assert guard.records["small"].level == 0
        assert guard.shares() == pytest.approx({"medium": 0.1 * level})
        assert guard.weight(stitch) == 0.5 * level
        assert guard.weight(network.space.stitch("small")) == 0
        assert guard.weight(network.space.stitch(JOINED)) == 0
    spoil(network)  # a second time mends it
    for level in (3, 2, 1, 0, 0):
        guard.measure(network, 9)
        assert guard.records["medium"].level == level
    assert guard.shares() == {}


def test_between_half_the_limit_and_the_limit_nothing_changes(network, images):
    spoiled = guard_of(images)
    spoiled.begin(network)
    spoil(network)
    spoiled.measure(network, 5)
    drop = spoiled.records["medium"].drop
    guard = guard_of(images, limit=drop)
    guard.load_state_dict({**spoiled.state_dict(), "levels": {"small": 0, "medium": 2}})
    guard.measure(network, 5)
    assert guard.records["medium"].level == 2
    assert guard.records["medium"].drop == drop


def test_anchors_get_their_share_of_the_steps(network, images):
    guard = guard_of(images, limit=0.1, step_share=0.1)
    drawn = (network.space.stitch(JOINED),)
    state = {"images": 100, "originals": {"small": 50, "medium": 50}, "records": {}}
    assert {guard.choose(step, drawn, network) for step in range(50)} == {drawn}
    for levels, shares in (
        ({"small": 1, "medium": 2}, {"small": 0.1, "medium": 0.2}),
        ({"small": 4, "medium": 4}, {"small": 0.25, "medium": 0.25}),  # never more than half of the steps
    ):
        guard.load_state_dict({**state, "levels": levels})
        assert guard.shares() == pytest.approx(shares)
        chosen = Counter(str(*guard.choose(step, drawn, network)) for step in range(4000))
        shares[JOINED] = 1 - sum(shares.values())
        for name, share in shares.items():
            spread = (4000 * share * (1 - share)) ** 0.5
            assert abs(chosen[str(network.space.stitch(name))] - 4000 * share) < 4 * spread


def test_what_it_does_depends_on_seed_step_and_state_alone(network, images):
    first = guard_of(images, limit=1.0)
    first.begin(network)
    spoil(network)
    first.measure(network, 5)
    second = guard_of(lambda: pytest.fail("the originals are known"), limit=1.0)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.records == first.records
    second.begin(network)
    second.images = images
    drawn = (network.space.stitch(JOINED),)
    for guard in (first, second):
        guard.measure(network, 10)
    assert first.records == second.records
    assert first.state_dict() == second.state_dict()
    choices = [
        guard.choose(step, drawn, network) for step in reversed(range(40)) for guard in (first, second)
    ]
    assert choices[::2] == choices[1::2]
    assert len(set(choices)) == 2
    other = AnchorGuard(images, first.options, seed=3)
    other.load_state_dict(first.state_dict())
    assert [other.choose(step, drawn, network) for step in reversed(range(40))] != choices[::2]


def test_an_anchor_under_pressure_learns_from_its_original(network, images):
    guard = guard_of(images, limit=1.0, distillation=0.5)
    objective = build_objective(network, TrainOptions(label_smoothing=0.0), guard=guard)
    original = network.extract("medium")
    guard.begin(network)
    spoil(network)
    ((batch, labels), *_), stitches = images(), [network.space.stitch(each) for each in ("medium", JOINED)]
    assert objective(network, stitches, batch, labels, step=0).terms.keys() == {"cross_entropy"}
    guard.measure(network, 5)
    guard.measure(network, 10)
    losses = objective(network, stitches, batch, labels, step=0)
    ours, theirs = (model.log_softmax(1) for model in (network(batch, "medium"), original(batch)))
    expected = (theirs.exp() * (theirs - ours)).sum(1).mean()
    assert losses.terms["guard"] == pytest.approx(expected.item(), rel=1e-4)
    labels_loss = -ours[torch.arange(25), labels].mean()
    found = losses.per_stitch[stitches[0]]
    assert found == pytest.approx((labels_loss + 2 * 0.5 * expected).item(), rel=1e-4)


@pytest.mark.parametrize("tune", ["all", "low_rank"])
def test_it_stops_with_the_last_good_weights(network, images, labelled, tune):
    guard, states = guard_of(images, every=2, limit=5.0, stop=True), []

    def step_done(record):
        states.append({name: each.clone() for name, each in network.anchors["small"].state_dict().items()})
        if record.step == 4:
            spoil(network)

    with pytest.raises(AnchorDropError) as error:
        train(
            network,
            lambda epoch: labelled(10, 8),
            sampler=ScheduleSampler(network.space, [[network.space.stitch("small")]]),
            steps_per_epoch=10,
            options=TrainOptions(epochs=1, lr=1e-6, tune=tune),
            guard=guard,
            on_step=step_done,
        )
    drop = guard.records["medium"].drop
    assert f"Anchor medium lost {drop:.2f} points after 6 steps; train.guard.limit is 5.0." in str(
        error.value
    )
    assert "The network is that after 4 steps" in str(error.value)
    assert len(states) == 6
    now = network.anchors["small"].state_dict()
    assert all(torch.equal(value, states[3][key]) for key, value in now.items())
    assert right(network, "medium", images()) == guard._state.originals["medium"]
    assert not network.training


@pytest.mark.parametrize("chosen", [{"interpolation": 0.2}, {"ema": 0.8}, {"interpolation": 0.5, "ema": 0.8}])
def test_it_measures_what_would_be_saved(network, images, labelled, chosen):
    """After the last step that is what training returns; the steps themselves go on as if nobody looked."""
    options = TrainOptions(epochs=1, lr=5e-3, warmup=0.0, **chosen)
    both = ScheduleSampler(network.space, [[network.space.stitch(name)] for name in ("small", "medium")])
    alone, plain = copy.deepcopy(network), copy.deepcopy(network)

    def trained(module, options, guard=None):
        return train(
            module,
            lambda epoch: labelled(10, 8),
            sampler=both,
            steps_per_epoch=10,
            options=options,
            guard=guard,
        )

    guard = guard_of(images)
    summary = trained(network, options, guard)
    for name, record in guard.records.items():
        assert record.top1 == right(network, name, images())
        assert summary.anchor_drops[name] == record.drop
    trained(alone, options)
    assert all(torch.equal(each, alone.state_dict()[key]) for key, each in network.state_dict().items())
    trained(plain, replace(options, interpolation=1.0, ema=None))
    assert any(right(plain, name, images()) != record.top1 for name, record in guard.records.items())


def test_where_it_stops_it_leaves_what_would_have_been_saved(network, images, labelled):
    """A third of the way; spoiled so much that a third of it turns the answers upside down."""
    before = network.anchors["medium"].state_dict()
    start, taken = {key: each.clone() for key, each in before.items()}, []

    def step_done(record):
        taken.append({key: each.clone() for key, each in network.anchors["medium"].state_dict().items()})
        if record.step == 4:
            spoil(network, factor=-5.0)

    names = ["medium", *["small"] * 9]
    with pytest.raises(AnchorDropError, match="The network is that after 4 steps"):
        train(
            network,
            lambda epoch: labelled(10, 8),
            sampler=ScheduleSampler(network.space, [[network.space.stitch(name)] for name in names]),
            steps_per_epoch=10,
            options=TrainOptions(epochs=1, lr=1e-4, warmup=0.0, interpolation=1 / 3),
            guard=guard_of(images, every=2, limit=5.0, stop=True),
            on_step=step_done,
        )
    for key, now in network.anchors["medium"].state_dict().items():
        torch.testing.assert_close(now, start[key] + (taken[3][key] - start[key]) / 3, rtol=1e-5, atol=1e-7)
        if taken[3][key].is_floating_point() and not torch.equal(taken[3][key], start[key]):
            assert not torch.equal(now, taken[3][key]), key


def test_training_with_a_guard_steers(network, images, labelled):
    spoiled, records = guard_of(images, every=5, limit=2.0, step_share=0.5), []

    def step_done(record):
        records.extend(record.stitches)
        if record.step == 2:
            spoil(network)

    summary = train(
        network,
        lambda epoch: labelled(40, 4),
        sampler=ScheduleSampler(network.space, [[network.space.stitch(JOINED)]]),
        steps_per_epoch=40,
        options=TrainOptions(epochs=1, lr=0.0),
        guard=spoiled,
        on_step=step_done,
    )
    medium = str(network.space.stitch("medium"))
    assert set(records[:5]) == {JOINED}
    assert set(records[5:]) == {JOINED, medium}
    assert summary.counts[medium] == records.count(medium)
    assert summary.anchor_drops == {name: each.drop for name, each in spoiled.records.items()}
    assert summary.anchor_drops["medium"] > 30
    assert json.loads(json.dumps(asdict(spoiled.records["medium"])))["anchor"] == "medium"


def test_no_images_are_refused(network):
    with pytest.raises(StitchError, match="The anchors' guard has no images"):
        count_right(network, [])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"every": -1}, "every must be at least 0; got -1"),
        ({"images": 0}, "images must be at least 1; got 0"),
        ({"every": 1, "limit": -0.1}, "limit must be at least 0, or null; got -0.1"),
        ({"every": 1, "limit": float("nan")}, "limit must be .*; got nan"),
        ({"step_share": 0.6}, r"step_share must be in \[0, 0.5\]; got 0.6"),
        ({"distillation": -1.0}, "distillation must be at least 0; got -1.0"),
        ({"limit": 0.5}, r"limit is 0.5 and nothing is measured. Set train.guard.every"),
        ({"every": 5, "stop": True}, r"stop needs a limit"),
        ({"split": "vall"}, r"split 'vall'. Nearest: val"),
    ],
)
def test_options_out_of_range_are_refused(wrong, message):
    with pytest.raises(StitchError, match=message):
        GuardOptions(**wrong)
