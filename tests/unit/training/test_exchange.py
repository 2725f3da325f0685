"""Training in real processes over gloo, against one process and against plain torch."""

import copy
import os
import signal
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException
from torch.nn.functional import cross_entropy

from stitchable.errors import Interrupted, SharedError
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, LostError, joined
from stitchable.space.draw import uniform_index
from stitchable.stitch import Stitch
from stitchable.training.checkpoint import checkpoints, newest_checkpoint
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.exchange import Exchange, StepResult
from stitchable.training.interrupt import Wish
from stitchable.training.keeper import Keeper
from stitchable.training.loop import train
from stitchable.training.objectives.losses import Losses
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.sampler import SameOnAllRanks, Sampler
from stitchable.training.samplers.uniform import UniformSampler

COUNT, STEPS, IMAGES = 3, 4, 7  # shares of 3, 2 and 2 images
ALIKE = TrainOptions(
    epochs=1,
    lr=3e-3,
    weight_decay=0.1,
    clip_norm=0.5,
    accumulate=2,
    ema=0.5,
    warmup=0.0,
    interpolation=0.7,
)
PIECES = replace(ALIKE, shard=True, checkpoint_activations=True)
PLAIN = TrainOptions(epochs=1, lr=1e-3, weight_decay=0.0, lr_floor=1.0, warmup=0.0, label_smoothing=0.0)
FROZEN = replace(PLAIN, tune="layers")
RUNNING = replace(PLAIN, batch_norm="running")


class Told(Sampler):
    """Each rank trains the stitch of its number; keeps what it is told."""

    def __init__(self, *stitches):
        self.stitches, self.told = [Stitch.parse(str(each)) for each in stitches], []

    def __call__(self, step, rank=0):
        return (self.stitches[(step + rank) % len(self.stitches)],)

    def observe(self, step, losses):
        self.told.append({str(stitch): loss for stitch, loss in losses.items()})


def read(folder, name):
    return StitchedNetwork.from_pretrained(folder / name).double()


def images_of(side):
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(IMAGES, 1, side, side, dtype=torch.float64, generator=generator),
            torch.randint(5, (IMAGES,), generator=generator),
        )
        for _ in range(STEPS)
    ]


def alike(network):
    return SameOnAllRanks(UniformSampler(network.space, seed=2, stitches_per_step=2))


def own(network):
    return Told(*(network.space[uniform_index(network.space.count, "own", n)] for n in range(5)))


def some_frozen(network):
    return Told("medium[0:3]", "small[0:1]+medium[1:3]", "small[0:2]+medium[2:3]")


def joints(network):
    return Told("shallow[0:1]+deep[1:13]", "deep[0:13]")


def share(batches, ranks):
    return [
        (images[ranks.rank :: ranks.count], labels[ranks.rank :: ranks.count]) for images, labels in batches
    ]


def whole(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _train(ranks, folder):
    """Several trainings in one group of processes; each process leaves what it came to."""
    found = {}
    for name, network, sampler, options, side in (
        ("alike", "vits", alike, ALIKE, 8),
        ("pieces", "vits", alike, PIECES, 8),
        ("own", "vits", own, PLAIN, 8),
        ("frozen", "vits", some_frozen, FROZEN, 8),
        ("running", "resnets", joints, RUNNING, 32),
    ):
        trained, records, sums = read(folder, network), [], []
        asked, batches = sampler(trained), share(images_of(side), ranks)

        def remember(record, *, trained=trained, records=records, sums=sums):
            records.append({**vars(record), "seconds": None})
            total = sum(whole(each).double().sum().item() for each in trained.state_dict().values())
            sums.append(ranks.gather(total))

        summary = train(
            trained,
            lambda epoch, batches=batches: batches,
            sampler=asked,
            steps_per_epoch=STEPS,
            options=options,
            on_step=remember,
            ranks=ranks,
        )
        assert all(len(set(each)) == 1 for each in sums), f"{name} is out of step"
        found[name] = {
            "weights": trained.state_dict(),
            "records": records,
            "summary": {**vars(summary), "seconds": None},
            "told": getattr(asked, "told", None),
        }
    found["gone on"] = [
        gone_on(ranks, folder, "vits", alike, PIECES, side=8),
        gone_on(ranks, folder, "resnets", joints, RUNNING, side=32),
    ]
    network, batches = read(folder, "vits"), share(images_of(8), ranks)
    broken = [(images.clone(), labels) for images, labels in batches]
    if ranks.rank == 1:
        broken[2][0].fill_(float("nan"))
    with pytest.raises(SharedError) as error, joined():
        train(
            network,
            lambda epoch: broken,
            sampler=alike(network),
            steps_per_epoch=STEPS,
            options=PLAIN,
            ranks=ranks,
        )
    found["failed"] = (str(error.value), error.value.told)
    torch.save(found, folder / f"{ranks.rank}.pt")
    ranks.wait()
    with pytest.raises(LostError, match="Another process of the job has gone"):
        train(
            network,
            lambda epoch: dying(batches) if ranks.rank == 2 else batches,
            sampler=alike(network),
            steps_per_epoch=STEPS,
            options=PLAIN,
            ranks=ranks,
        )
    (folder / f"{ranks.rank} was told").touch()


def gone_on(ranks, folder, name, sampler, options, *, side):
    """A training in float32: at one go, and stopped by a wish of one process and gone on with."""
    batches, wish = [(images.float(), labels) for images, labels in share(images_of(side), ranks)], Wish()

    def stop(record):
        if record.step == 1 and ranks.rank == 1:
            wish.signal = signal.SIGTERM

    ends = []
    for place, on_step in (("whole", None), ("kept", stop), ("kept", None)):
        network, place = read(folder, name).float(), folder / f"{place} {name}"
        keeper = Keeper(
            place,
            CheckpointOptions(every_steps=2, keep=3),
            found=newest_checkpoint(place)[0],
            wish=wish,
            ranks=ranks,
            pieces=options.shard,
        )
        ranks.wait()  # all have read
        try:
            train(
                network,
                lambda epoch, start=0: batches[start:],
                sampler=sampler(network),
                steps_per_epoch=STEPS,
                options=options,
                keeper=keeper,
                on_step=on_step,
                ranks=ranks,
            )
        except Interrupted:
            wish.signal = None
        else:
            ends.append(network.state_dict())
    assert same(*ends)
    return ends[0]


def dying(batches):
    yield batches[0]
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def together(tmp_path, stitched_vits, stitched_resnets, in_processes):
    """The networks before training, and what each process came to."""
    networks = {"vits": stitched_vits(), "resnets": stitched_resnets()}
    for name, network in networks.items():
        network.save_pretrained(tmp_path / name)
    with pytest.raises(ProcessExitedException, match="process 2 terminated with signal SIGKILL"):
        in_processes(COUNT, _train, tmp_path)
    assert {path.name for path in tmp_path.glob("* was told")} == {"0 was told", "1 was told"}
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(COUNT)]
    return {name: network.double() for name, network in networks.items()}, found


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def close(first, second):
    for key, value in first.items():
        torch.testing.assert_close(
            value, second[key], rtol=1e-7, atol=1e-10, msg=lambda text, key=key: key + text
        )


def test_processes_train_one_network(together, tmp_path):
    networks, found = together
    for name in ("alike", "pieces", "own", "frozen", "running"):
        assert all(same(found[0][name]["weights"], other[name]["weights"]) for other in found[1:]), name
        assert all(found[0][name]["records"] == other[name]["records"] for other in found[1:]), name
        assert all(found[0][name]["summary"] == other[name]["summary"] for other in found[1:]), name
    as_one_process(networks["vits"], found[0]["alike"])
    as_one_process(networks["vits"], found[0]["pieces"])
    for number in range(2):
        assert all(same(found[0]["gone on"][number], each["gone on"][number]) for each in found[1:])
    for name, network, sampler in (
        ("own", "vits", own),
        ("frozen", "vits", some_frozen),
        ("running", "resnets", joints),
    ):
        by_hand(networks[network], sampler(networks[network]), found[0][name], frozen=name == "frozen")
    kept = checkpoints(tmp_path / "kept vits")
    assert [place.name[-1] for place in kept] == ["4", "3", "2"]
    broken = kept[0] / "shard-00002-model-00001-of-00001.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1])
    taken, notes = newest_checkpoint(tmp_path / "kept vits")
    assert taken.step == 3
    assert f"{broken.name} has another digest" in notes[0]
    message = found[1]["failed"][0]
    assert "is nan at step 2." in message
    assert message.endswith("(process 1 of 3)")
    assert [each["failed"] for each in found] == [(message, rank > 0) for rank in range(COUNT)]


def as_one_process(network, found):
    """The same path in all: what one process comes to with the whole batches."""
    one, records = copy.deepcopy(network), []
    summary = train(
        one,
        lambda epoch: images_of(8),
        sampler=alike(one),
        steps_per_epoch=STEPS,
        options=ALIKE,
        on_step=records.append,
    )
    close(one.state_dict(), found["weights"])
    assert {**vars(summary), "seconds": None} == found["summary"]
    for ours, theirs in zip(map(vars, records), found["records"], strict=True):
        for key in ("step", "epoch", "stitches", "images", "lr"):
            assert ours[key] == theirs[key]
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-9)
        assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-9)
        assert ours["terms"] == pytest.approx(theirs["terms"], rel=1e-9)
    untouched = set(network.state_dict()) - {
        key for stitches in found["summary"]["counts"] for key in network.extract(stitches).state_dict()
    }
    assert all(torch.equal(network.state_dict()[key], found["weights"][key]) for key in untouched)


def by_hand(network, sampler, found, *, frozen):
    """Plain torch: each share through its own stitch, losses weighed by images, statistics averaged."""
    network = copy.deepcopy(network).train()
    if frozen:
        network.anchors.requires_grad_(False).eval()
    tuned = [each for each in network.parameters() if each.requires_grad]
    optimizer, counts = torch.optim.AdamW(tuned, lr=1e-3, weight_decay=0.0), Counter()
    for step, (images, labels) in enumerate(images_of(32 if "shallow" in network.anchors else 8)):
        before = {name: each.clone() for name, each in network.named_buffers()}
        after, losses, stitches = [], [], [sampler(step, rank)[0] for rank in range(COUNT)]
        for rank, stitch in enumerate(stitches):
            for name, each in network.named_buffers():
                each.copy_(before[name])
            theirs = labels[rank::COUNT]
            loss = cross_entropy(network(images[rank::COUNT], stitch), theirs)
            if loss.requires_grad:
                torch.autograd.backward(loss * len(theirs) / len(labels))
            losses.append(loss.item())
            after.append({name: each.clone() for name, each in network.named_buffers()})
        for name, each in network.named_buffers():
            moved = [ours[name] for ours in after if not torch.equal(ours[name], before[name])]
            each.copy_(torch.stack(moved).double().mean(0) if moved else before[name])
        optimizer.step()
        optimizer.zero_grad()
        counts.update(map(str, stitches))
        record = found["records"][step]
        assert record["stitches"] == list(map(str, stitches))
        assert record["losses"] == pytest.approx(losses, rel=1e-9)
        assert record["loss"] == pytest.approx(
            (3 * losses[0] + 2 * losses[1] + 2 * losses[2]) / IMAGES, rel=1e-9
        )
        assert record["images"] == IMAGES
        assert found["told"][step].keys() == set(record["stitches"])
    close(network.state_dict(), found["weights"])
    summary = found["summary"]
    assert summary["counts"] == dict(counts)
    assert summary["macs_alone"] == sum(network.cost(each).macs * count for each, count in counts.items())


def test_alone_nothing_is_exchanged(stitched_vits):
    network = stitched_vits()
    exchange = Exchange(ALONE, network.parameters(), statistics=network)
    exchange.begin(5, signal=2)
    stitch = network.space[3]
    exchange.meet(Losses(torch.tensor(2.5), {stitch: 2.5}, {"cross_entropy": 1.25}))
    assert exchange.result == StepResult(2.5, [{stitch: 2.5}], {"cross_entropy": 1.25}, 5, 2)
    assert all(parameter.grad is None for parameter in network.parameters())
