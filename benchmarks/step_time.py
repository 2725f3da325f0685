"""What a step of `train` costs over a bare PyTorch loop that trains the extracted stitch.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from overhead import FAMILIES
from record import machine, median_interval, print_table, write
from stitchable.network import StitchedNetwork
from stitchable.stitch import Stitch
from stitchable.training.loop import StepRecord, train
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.sampler import Sampler
from stitchable.training.step import train_mode

BATCHES = {"deit": 4, "cifar_resnet": 64}
Batch = tuple[Tensor, Tensor]


class Always(Sampler):
    """The same stitch at every step."""

    def __init__(self, stitch: Stitch) -> None:
        self.stitch = stitch

    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """That stitch."""
        return (self.stitch,)


def ours(network: StitchedNetwork, stitch: Stitch, batch: Batch, options: TrainOptions, steps: int) -> float:
    """Seconds per step of `train`, from the end of its first step to that of its last."""
    ends: list[float] = []

    def end(_: StepRecord) -> None:
        ends.append(time.perf_counter())

    def batches(_: int) -> Iterator[Batch]:
        yield from [batch] * steps

    sampler = Always(stitch)
    train(network, batches, sampler=sampler, steps_per_epoch=steps, options=options, on_step=end)
    return (ends[-1] - ends[0]) / (steps - 1)


def bare(network: StitchedNetwork, stitch: Stitch, batch: Batch, options: TrainOptions, steps: int) -> float:
    """Seconds per step of a loop that knows of nothing but the extracted module."""
    module = network.extract(stitch)
    train_mode(module, options)
    optimizer = torch.optim.AdamW(module.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=options.autocast == "bfloat16")
    ends: list[float] = []
    for images, labels in [batch] * steps:
        with bf16:
            loss = F.cross_entropy(module(images), labels)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        loss.item()
        ends.append(time.perf_counter())
    return (ends[-1] - ends[0]) / (steps - 1)


def compare(
    network: StitchedNetwork, stitch: Stitch, batch: Batch, options: TrainOptions, given: argparse.Namespace
) -> dict[str, Any]:
    """Ratio of the two, from blocks of steps in the order A B B A, then B A A B, and so on."""
    once = bare(network, stitch, batch, options, 3)
    steps = max(3, round(given.block_ms / 1000 / once) + 1)
    measured = (network, stitch, batch, options, steps)
    ratios: list[float] = []
    each: list[float] = []
    end = time.perf_counter() + given.seconds
    while time.perf_counter() < end or len(ratios) < 11:
        calls = (ours, bare, bare, ours) if len(ratios) % 2 == 0 else (bare, ours, ours, bare)
        times = [(call, call(*measured)) for call in calls]
        mine, other = (sum(found for call, found in times if call is which) for which in (ours, bare))
        ratios.append(mine / other)
        each.append(other / 2)
    return {
        "ratio": median_interval(ratios),
        "milliseconds": 1000 * median_interval(each)["median"],
        "blocks": len(ratios),
        "steps_per_block": steps,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--families", nargs="+", choices=BATCHES, default=list(BATCHES))
    parser.add_argument("--seconds", type=float, default=60.0, help="time for each comparison")
    parser.add_argument("--block_ms", type=float, default=800.0, help="shortest block in milliseconds")
    given = parser.parse_args()
    content: dict[str, Any] = {
        "benchmark": "step_time",
        "machine": machine(),
        "settings": {name: getattr(given, name) for name in ("seconds", "block_ms")},
        "results": [],
    }
    lines = []
    for family in given.families:
        network = StitchedNetwork(FAMILIES[family][0]())
        size = (BATCHES[family], *network.input_spec.size)
        images = torch.randn(size, generator=torch.Generator().manual_seed(0))
        batch = images, torch.arange(len(images)) % network.class_count
        stitches = list(network.space)
        for stitch in (stitches[0], stitches[len(stitches) // 2], stitches[-1]):
            for autocast in ("none", "bfloat16"):
                options = TrainOptions(epochs=1, autocast=autocast, label_smoothing=0.0)
                found = compare(network, stitch, batch, options, given)
                row = {"family": family, "stitch": str(stitch), "batch": len(images), "autocast": autocast}
                content["results"].append({**row, **found})
                ratio = found["ratio"]
                lines.append(
                    [
                        f"{family}, {stitch}",
                        autocast,
                        f"{found['milliseconds']:.1f}",
                        f"{ratio['median']:.3f}",
                        f"{ratio['low']:.3f} to {ratio['high']:.3f}",
                    ]
                )
                print("  ".join(lines[-1]), flush=True)
                if given.out:
                    write(given.out, content)  # as it goes, since the whole takes a quarter of an hour
    print_table(["stitch", "autocast", "ms bare", "ours / bare", "95 %"], lines)


if __name__ == "__main__":
    main()
