"""Several gloo processes: equal to one, in step with each other, ended together; compared with torch's DDP.

See README.md beside this file. Each question is a function of a fitted run's folder in `QUESTIONS`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from math import hypot
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from overhead import cifar_resnets
from record import machine, print_table, write
from stitchable.data.loader import image_loader
from stitchable.demo.family import digit_anchors
from stitchable.errors import StitchError
from stitchable.evaluation.sweep import tally
from stitchable.initialization.fit import fit_least_squares
from stitchable.network import StitchedNetwork
from stitchable.ranks import Ranks, joined
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for, training_batches
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.training.exchange import Exchange
from stitchable.training.loop import train
from stitchable.training.objectives.losses import Losses
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.sampler import SameOnAllRanks
from stitchable.training.samplers.uniform import UniformSampler

DATA = DataConfig(train="digits:train", val="digits:val", memory=True)
OPTIONS = TrainOptions(epochs=2, batch_size=101, lr=1e-3, augment="crop")
COUNTS = (1, 2, 3)


def _one(
    rank: int, count: int, port: int, work: Callable[..., Any], given: tuple[Any, ...], pipe: Any
) -> None:
    torch.set_num_threads(1)
    own = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_PORT": port}
    os.environ.update({"MASTER_ADDR": "localhost", **{name: str(value) for name, value in own.items()}})
    try:
        with joined() as ranks:
            pipe.send(work(ranks, *given))
    except StitchError as error:
        print(f"process {rank}: {error}", flush=True)
        raise SystemExit(2) from None


def start(count: int, work: Callable[..., Any], *given: Any) -> list[tuple[Any, Any]]:
    """Processes that call ``work(ranks, *given)`` together, each with the pipe that its answer comes from.

    They are forked: importing torch would take longer than the work.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    fork, started = multiprocessing.get_context("fork"), []
    for rank in range(count):
        ours, theirs = fork.Pipe(duplex=False)
        process = fork.Process(target=_one, args=(rank, count, port, work, given, theirs))
        process.start()
        theirs.close()
        started.append((process, ours))
    return started


def together(count: int, work: Callable[..., Any], *given: Any) -> list[Any]:
    """What ``work(ranks, *given)`` gives in so many processes, in the order of ranks; plain data."""
    started = start(count, work, *given)
    answers = [pipe.recv() for _, pipe in started]
    for process, _ in started:
        process.join()
    return answers


def copied(fitted: Path, name: str) -> Path:
    """A copy of a run beside it."""
    return Path(shutil.copytree(fitted, fitted.parent / name))


def relative(tensors: dict[str, Tensor], others: dict[str, Tensor]) -> dict[str, Any]:
    """Norm of the difference as a share of the weights' own, of all together and of the worst tensor."""
    norms = {name: float(each.double().norm()) for name, each in tensors.items()}
    apart = {name: float((others[name] - each).double().norm()) for name, each in tensors.items()}
    worst = max(norms, key=lambda name: apart[name] / norms[name])
    return {
        "all": hypot(*apart.values()) / hypot(*norms.values()),
        "worst": apart[worst] / norms[worst],
        "worst_is": worst,
    }


def _train_run(ranks: Ranks, path: Path, options: TrainOptions) -> None:
    train_run(RunFolder(path), data=DATA, options=options, device="cpu")


def same_path(fitted: Path) -> dict[str, Any]:
    """The same batches and stitches in 1, 2 and 3 processes: how far the weights are apart at the end."""
    found: dict[str, Any] = {}
    for optimizer in ("adamw", "sgd"):
        options, weights = replace(OPTIONS, optimizer=optimizer), {}
        for count in COUNTS:
            path = copied(fitted, f"{optimizer}{count}")
            together(count, _train_run, path, options)
            weights[count] = StitchedNetwork.from_pretrained(RunFolder(path).network).state_dict()
        found[optimizer] = {str(count): relative(weights[1], weights[count]) for count in COUNTS[1:]}
    steps = len((RunFolder(path).train_file).read_text(encoding="utf-8").splitlines())
    return {"steps": steps, "relative_difference": found}


def _digests(ranks: Ranks, path: Path) -> list[str]:
    """After every step of a training with a path per process: the digest of all weights."""
    network = StitchedNetwork.from_pretrained(RunFolder(path).fitted)
    source, spec = open_for(network, DATA, "train"), network.input_spec
    batches, steps = training_batches(source, spec, OPTIONS, seed=0, workers=0, ranks=ranks)
    seen: list[str] = []

    def remember(record: Any) -> None:
        digest = hashlib.sha256(" ".join(record.stitches).encode())
        for tensor in network.state_dict().values():
            digest.update(tensor.numpy().tobytes())
        seen.append(digest.hexdigest())

    sampler = UniformSampler(network.space)
    train(
        network,
        batches,
        sampler=sampler,
        steps_per_epoch=steps,
        options=OPTIONS,
        on_step=remember,
        ranks=ranks,
    )
    return seen


def own_path(fitted: Path) -> dict[str, Any]:
    """A path of its own in each process: after how many steps all weights are equal, bit for bit."""
    found = {}
    for count in COUNTS[1:]:
        seen = list(zip(*together(count, _digests, fitted), strict=True))
        found[str(count)] = {"steps": len(seen), "equal": sum(len(set(each)) == 1 for each in seen)}
    return found


def killed(fitted: Path) -> dict[str, Any]:
    """One of three processes is killed in the middle, without torchrun: when the others have ended."""
    path = copied(fitted, "killed")
    started = start(3, _train_run, path, replace(OPTIONS, epochs=200))
    log = RunFolder(path).training_file
    while not log.is_file() or log.read_bytes().count(b"\n") < 10:
        time.sleep(0.01)
    started[1][0].kill()
    began = time.monotonic()
    for process, _ in started:
        process.join()
    return {
        "seconds_until_all_ended": round(time.monotonic() - began, 2),
        "exit": [process.exitcode for process, _ in started],
    }


def _beside_ddp(ranks: Ranks, path: Path) -> dict[str, Any]:
    ours, theirs = (StitchedNetwork.from_pretrained(RunFolder(path).fitted).train() for _ in range(2))
    wrapped = DistributedDataParallel(theirs, find_unused_parameters=True)
    optimizers = [torch.optim.AdamW(each.parameters(), lr=1e-3) for each in (ours, theirs)]
    exchange = Exchange(ranks, ours.parameters())
    sampler = SameOnAllRanks(UniformSampler(ours.space))
    source, options = (
        open_for(ours, DATA, "train"),
        replace(OPTIONS, batch_size=100),
    )  # DDP needs equal shares
    batches, _ = training_batches(source, ours.input_spec, options, seed=0, workers=0, ranks=ranks)
    seconds: list[list[float]] = [[], []]
    used = 0
    for epoch in range(4):
        for step, (images, labels) in enumerate(batches(epoch)):
            (stitch,) = sampler(100 * epoch + step)
            for number, optimizer in enumerate(optimizers):
                ranks.wait()
                began = time.perf_counter()
                optimizer.zero_grad()
                loss = cross_entropy((wrapped if number else ours)(images, stitch), labels)
                torch.autograd.backward(loss)
                if number == 0:
                    exchange.begin(len(images))
                    exchange.meet(Losses(loss.detach(), {stitch: loss.item()}))
                optimizer.step()
                seconds[number].append(time.perf_counter() - began)
            used += sum(each.numel() for each in ours.parameters() if each.grad is not None)
    ratios = [one / other for one, other in zip(*seconds, strict=True)]
    return {
        "steps": len(ratios),
        "seconds_per_step": [median(each) for each in seconds],
        "ratio": median(ratios),
        "numbers_sent_per_step": [used / len(ratios), sum(each.numel() for each in ours.parameters())],
        "relative_difference": relative(theirs.state_dict(), ours.state_dict()),
    }


def beside_ddp(fitted: Path) -> dict[str, Any]:
    """The same steps with our exchange of gradients and with DistributedDataParallel, in turn."""
    found: dict[str, Any] = together(2, _beside_ddp, fitted)[0]
    return found


def _solved(ranks: Ranks) -> dict[str, Any]:
    network = StitchedNetwork(digit_anchors()).double()
    source = open_for(network, DATA, "train")
    loader = image_loader(source, network.input_spec, batch_size=50, start=ranks.rank, every=ranks.count)
    fit_least_squares(network, (images.double() for images, _ in loader), ranks=ranks)
    return {name: each.numpy() for name, each in network.layers.state_dict().items()}


def least_squares(fitted: Path) -> dict[str, Any]:
    """Stitching layers fitted on shares of the batches, in float64: how far they are from one process's."""
    solved = {
        count: {name: torch.from_numpy(each) for name, each in together(count, _solved)[0].items()}
        for count in COUNTS
    }
    return {
        "layers": len(StitchedNetwork.from_pretrained(RunFolder(fitted).fitted).layers),
        "largest_relative_difference_of_a_tensor": {
            str(count): relative(solved[1], solved[count])["worst"] for count in COUNTS[1:]
        },
    }


def _sweep_run(ranks: Ranks, path: Path) -> float:
    began = time.perf_counter()
    sweep_run(RunFolder(path), data=DATA, options=SweepConfig(batch_size=50), device="cpu")
    return time.perf_counter() - began


def _tallies(ranks: Ranks) -> list[tuple[int, float]]:
    torch.manual_seed(0)
    network = StitchedNetwork(cifar_resnets()).eval()
    images, labels = torch.randn(44, *network.input_spec.size), torch.arange(44) % network.class_count
    batches = list(zip(images.split(5), labels.split(5), strict=True))
    mine = [batches[number] for number in ranks.share(len(batches))]
    found = tally(network, list(network.space), mine, calibration=[x for x, _ in mine], ranks=ranks)
    return [(each.correct, each.loss) for each in found]


def curve(fitted: Path) -> dict[str, Any]:
    """Sweeps that share the batches: whether the curves are the same to the last digit.

    That of the digits as the file it is, and that of ResNet-20 and ResNet-56 with random weights, whose
    BatchNorm statistics are adjusted behind the joints, as its sums.
    """
    files, tallies, seconds = {}, {}, {}
    for count in COUNTS:
        path = copied(fitted, f"curve{count}")
        seconds[count] = max(together(count, _sweep_run, path))
        files[count] = RunFolder(path).curve_fitted.read_bytes()
        tallies[count] = together(count, _tallies)
    return {
        "stitches": [len(files[1].splitlines()), len(tallies[1][0])],
        "equal": {
            str(count): files[count] == files[1] and all(each == tallies[1][0] for each in tallies[count])
            for count in COUNTS[1:]
        },
        "seconds_of_the_digits": [round(each, 2) for each in seconds.values()],
    }


QUESTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "least_squares": least_squares,
    "curve": curve,
    "same_path": same_path,
    "own_path": own_path,
    "killed": killed,
    "beside_ddp": beside_ddp,
}


def main() -> None:
    """Measure, print and write; answers that are not asked for again stay in the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--only", nargs="*", choices=QUESTIONS, default=list(QUESTIONS))
    options = parser.parse_args()
    torch.set_num_threads(1)  # one thread leaves nothing behind that a fork would miss
    answers: dict[str, Any] = {}
    if options.out and options.out.is_file():
        answers = json.loads(options.out.read_text(encoding="utf-8"))["answers"]
    with tempfile.TemporaryDirectory() as folder:
        fitted = Path(folder, "fitted")
        config = RunConfig(anchors=["digits"], data=DATA, fit=FitConfig(images=200), device="cpu")
        fit_run(RunFolder(fitted), config, digit_anchors())
        for name in options.only:
            answers[name] = QUESTIONS[name](fitted)
            print_table([name, ""], [[key, json.dumps(value)] for key, value in answers[name].items()])
    if options.out:
        write(options.out, {"benchmark": "ranks", "machine": machine(), "answers": answers})


if __name__ == "__main__":
    main()
