import pytest
import torch

from stitchable.errors import Interrupted, StitchError
from stitchable.space.draw import uniform_index
from stitchable.training.checkpoint import checkpoints, newest_checkpoint, read_checkpoint
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.interrupt import Wish
from stitchable.training.keeper import Keeper
from stitchable.training.loop import train
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.sampler import Sampler
from stitchable.training.samplers.schedule import ScheduleSampler
from stitchable.training.samplers.uniform import UniformSampler

EPOCHS, BATCHES = 2, 3
EVERY = CheckpointOptions(every_steps=1, keep=100)


@pytest.fixture
def trained(labelled):
    """Trains a network, from a checkpoint where one is given; its records without the seconds, and counts."""

    def call(network, options, *, keeper=None, side=8, sampler=None, on_step=None):
        def batches(epoch, start=0):
            return labelled(BATCHES, 6, side=side, seed=epoch + 1)[start:]

        records = []

        def record(step):
            records.append({**vars(step), "seconds": None})
            if on_step:
                on_step(step)

        summary = train(
            network,
            batches,
            sampler=sampler or UniformSampler(network.space, seed=3),
            steps_per_epoch=BATCHES,
            options=options,
            seed=4,
            keeper=keeper,
            on_step=record,
        )
        return records, summary.counts

    return call


def state(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


CASES = {
    "adamw": {"vits": {}, "options": {"clip_norm": 0.5, "layer_lr": 3e-2}},
    "sgd": {"vits": {}, "options": {"optimizer": "sgd", "accumulate": 2}},
    "dropout": {"vits": {"drop_path_rate": 0.5, "proj_drop_rate": 0.3}, "options": {}},
    "recomputed": {"vits": {"drop_path_rate": 0.5}, "options": {"checkpoint_activations": True}},
    "average": {"vits": {}, "options": {"ema": 0.8, "autocast": "bfloat16"}},
    "moved back": {"vits": {}, "options": {"interpolation": 0.4, "ema": 0.8}},
    "batch_norm": {"resnets": {}, "options": {"batch_norm": "running"}},
    "channels_last": {"resnets": {}, "options": {"channels_last": True, "optimizer": "sgd"}},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_from_every_checkpoint_training_comes_to_the_same_bits(
    stitched_vits, stitched_resnets, trained, tmp_path, case
):
    def network():
        return stitched_vits(**case["vits"]) if "vits" in case else stitched_resnets(**case["resnets"])

    options = TrainOptions(epochs=EPOCHS, lr=1e-2, **case["options"])
    side = 8 if "vits" in case else 32
    plain = network()
    records, counts = trained(plain, options, side=side)
    kept = network()
    torch.manual_seed(11)  # what a process drew before must not matter
    assert trained(kept, options, side=side, keeper=Keeper(tmp_path, EVERY)) == (records, counts)
    assert same(state(kept), state(plain))
    places = checkpoints(tmp_path)
    assert len(places) == EPOCHS * BATCHES
    for place in places:
        found = read_checkpoint(place)
        again = network()
        keeper = Keeper(tmp_path / "other", CheckpointOptions(keep=0), found=found)
        later, all_counts = trained(again, options, side=side, keeper=keeper)
        assert later == records[found.step :], place.name
        assert all_counts == counts
        assert same(state(again), state(plain)), place.name


class Learner(Sampler):
    """A sampler whose choice depends on all that it was told before."""

    def __init__(self, space):
        self.space, self.told = space, []

    def __call__(self, step, rank=0):
        return (self.space[uniform_index(self.space.count, *self.told, "next")],)

    def observe(self, step, losses):
        self.told += [f"{stitch} {loss}" for stitch, loss in losses.items()]

    def state_dict(self):
        return {"told": list(self.told)}

    def load_state_dict(self, state):
        self.told = list(state["told"])


def test_a_sampler_that_remembers_remembers(stitched_vits, trained, tmp_path):
    options, network = TrainOptions(epochs=EPOCHS, lr=1e-2), stitched_vits()
    records, _ = trained(network, options, keeper=Keeper(tmp_path, EVERY), sampler=Learner(network.space))
    found = read_checkpoint(checkpoints(tmp_path)[2])
    again = stitched_vits()
    keeper = Keeper(tmp_path, CheckpointOptions(keep=0), found=found)
    assert trained(again, options, keeper=keeper, sampler=Learner(again.space))[0] == records[found.step :]
    assert same(state(again), state(network))


def test_a_wish_to_stop_is_granted_after_the_step(stitched_vits, trained, tmp_path):
    options, wish = TrainOptions(epochs=EPOCHS, lr=1e-2), Wish()

    def third(record):
        if record.step == 2:
            wish.signal = 15

    with pytest.raises(
        Interrupted, match=r"after 3 steps, which are kept in .*The same command again"
    ) as left:
        trained(
            stitched_vits(), options, keeper=Keeper(tmp_path, CheckpointOptions(), wish=wish), on_step=third
        )
    assert left.value.signal == 15
    assert newest_checkpoint(tmp_path)[0].step == 3


def test_a_network_that_is_not_finite_is_not_kept(stitched_vits, trained, tmp_path):
    network = stitched_vits()
    broken = network.anchors["small"].model.head.bias

    def second(record):
        if record.step == 1:
            with torch.no_grad():
                broken[0] = float("nan")

    with pytest.raises(StitchError, match=r"After 2 steps anchors\.small\.model\.head\.bias is not finite"):
        trained(
            network,
            TrainOptions(epochs=EPOCHS),
            keeper=Keeper(tmp_path, EVERY),
            sampler=ScheduleSampler(network.space, [["medium"]]),
            on_step=second,
        )
    assert [place.name for place in checkpoints(tmp_path)] == ["step_000000001"]


@pytest.mark.parametrize(
    ("options", "moments"),
    [
        # A step lasts ten seconds and writing, here, no time: at most once a minute.
        ({}, [6, 12, 18, 24, 30]),
        ({"every_minutes": 2.0}, [12, 24, 30]),
        ({"every_steps": 7}, [7, 14, 21, 28, 30]),
    ],
    ids=str,
)
def test_checkpoints_come_when_they_are_due(stitched_vits, labelled, tmp_path, options, moments):
    network, now = stitched_vits(), [0.0]

    def later(record):
        now[0] += 10

    keeper = Keeper(tmp_path, CheckpointOptions(**options, keep=100), clock=lambda: now[0])
    train(
        network,
        lambda epoch: labelled(10, 2),
        sampler=UniformSampler(network.space),
        steps_per_epoch=10,
        options=TrainOptions(epochs=3),
        keeper=keeper,
        on_step=later,
    )
    assert [read_checkpoint(place).step for place in reversed(checkpoints(tmp_path))] == moments


def test_slow_writing_makes_checkpoints_rare(stitched_vits, labelled, tmp_path):
    """Writing takes two seconds: less than 1 % of the time means one in 200 s, that is in 20 steps."""
    network, now = stitched_vits(), [0.0]

    def slow():
        now[0] += 2

    keeper = Keeper(tmp_path, CheckpointOptions(keep=100), before=slow, clock=lambda: now[0])

    def later(record):
        now[0] += 10

    train(
        network,
        lambda epoch: labelled(10, 2),
        sampler=UniformSampler(network.space),
        steps_per_epoch=10,
        options=TrainOptions(epochs=7),
        keeper=keeper,
        on_step=later,
    )
    steps = [read_checkpoint(place).step for place in reversed(checkpoints(tmp_path))]
    assert steps == [6, 26, 46, 66, 70]


def test_the_probe_is_asked_after_each_epoch_and_the_lowest_is_kept(stitched_vits, trained, tmp_path):
    options, network = TrainOptions(epochs=4, ema=0.5, lr=1e-2), stitched_vits()
    losses, kept, seen = iter([3.0, 2.0, 2.5, 1.0]), [], []

    def probe():
        seen.append(state(network))
        return next(losses)

    keeper = Keeper(tmp_path, EVERY, probe=probe, keep_best=kept.append)
    trained(network, options, keeper=keeper)
    assert kept == [3.0, 2.0, 1.0]
    assert same(seen[-1], state(network))  # the average is what is measured, as it is what is saved
    # What was the lowest is known to a training that goes on.
    found = next(each for each in map(read_checkpoint, checkpoints(tmp_path)) if each.step == 2 * BATCHES + 1)
    later, kept_later = iter([2.5, 1.0]), []
    keeper = Keeper(
        tmp_path / "other", EVERY, found=found, probe=lambda: next(later), keep_best=kept_later.append
    )
    trained(stitched_vits(), options, keeper=keeper)
    assert kept_later == [1.0]
