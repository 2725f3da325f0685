"""The training loop: one process, one stitch or several per step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.paths import run_paths
from stitchable.space.tree import shared_macs
from stitchable.stitch import Stitch
from stitchable.training.optim import build_optimizer, build_schedule
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.sampler import Sampler
from stitchable.training.step import Batches, memory_format, take_step, train_mode


@dataclass(frozen=True)
class StepRecord:
    """What one step did; a line of ``train.jsonl``.

    Attributes:
        step: Counted from 0.
        epoch: Counted from 0.
        stitches: Ids of the stitches that were trained, the dearest first.
        loss: What was minimised: the mean of ``losses``.
        losses: For each stitch the cross-entropy of the batch in nats, smoothed labels included.
        lr: Learning rate of the anchors.
        layer_lr: Learning rate of the stitching layers.
        images: Number of images in the batch.
        seconds: Since training began.
    """

    step: int
    epoch: int
    stitches: list[str]
    loss: float
    losses: list[float]
    lr: float
    layer_lr: float
    images: int
    seconds: float


@dataclass(frozen=True)
class TrainSummary:
    """What training did.

    Attributes:
        steps: Number of steps.
        seconds: Wall time.
        counts: How many steps each stitch was trained, for those that were.
        macs_run: Forward MACs per image, summed over the steps; what stitches of a step share counts once.
        macs_alone: What they would have been with every stitch run by itself.
    """

    steps: int
    seconds: float
    counts: dict[str, int]
    macs_run: int
    macs_alone: int


def train(
    network: StitchedNetwork,
    batches: Batches,
    *,
    sampler: Sampler,
    steps_per_epoch: int,
    options: TrainOptions | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
) -> TrainSummary:
    """Train a network: Algorithm 1, with one stitch per step or several.

    Args:
        network: Trained in place; in eval mode afterwards.
        batches: Called with the epoch; gives normalised images ``(batch, channels, rows, columns)`` and
            labels ``(batch,)``, int64.
        sampler: Names the stitches of each step, and is told their losses.
        steps_per_epoch: Number of batches in an epoch; the schedule's length follows from it.
        options: See `TrainOptions`; ``options.sampler`` is not read here.
        on_step: Called after each step.

    Raises:
        StitchError: The loss is not finite (stitches and step are named; the step is not taken), or an
            epoch gave no batch.

    Source: Pan et al. 2023, Algorithm 1.
    """
    options = options or TrainOptions()
    device, layout = next(network.parameters()).device, memory_format(options)
    optimizer = build_optimizer(network, options)
    schedule = build_schedule(optimizer, options, steps=options.epochs * steps_per_epoch)
    counts: Counter[str] = Counter()
    macs_run = macs_alone = 0
    began, step = time.monotonic(), 0
    network.to(memory_format=layout)
    try:
        for epoch in range(options.epochs):
            train_mode(network, options)
            before = step
            for images, labels in batches(epoch):
                stitches = sampler(step)
                loss, losses = _train_stitches(
                    network,
                    stitches,
                    (images.to(device, memory_format=layout), labels.to(device)),
                    optimizer=optimizer,
                    options=options,
                    step=step,
                )
                sampler.observe(step, dict(zip(stitches, losses, strict=True)))
                counts.update(map(str, stitches))
                macs = shared_macs(network.space, stitches)
                macs_run, macs_alone = macs_run + macs.run, macs_alone + macs.alone
                if on_step:
                    record = StepRecord(
                        step=step,
                        epoch=epoch,
                        stitches=[str(stitch) for stitch in stitches],
                        loss=loss,
                        losses=losses,
                        **_rates(optimizer),
                        images=len(images),
                        seconds=round(time.monotonic() - began, 3),
                    )
                    on_step(record)
                schedule.step()
                step += 1
            if step == before:
                raise StitchError("An epoch gave no batch. Give at least batch_size training images.")
    finally:
        optimizer.zero_grad(set_to_none=True)
        network.eval().to(memory_format=torch.contiguous_format)
    seconds = time.monotonic() - began
    return TrainSummary(step, seconds, dict(counts.most_common()), macs_run, macs_alone)


def _train_stitches(
    network: StitchedNetwork,
    stitches: Sequence[Stitch],
    batch: tuple[Tensor, Tensor],
    *,
    optimizer: torch.optim.Optimizer,
    options: TrainOptions,
    step: int,
) -> tuple[float, list[float]]:
    """One update by the mean of the stitches' losses; this mean, and the loss of each."""
    (images, labels), outputs = batch, list[Tensor]()

    def forward(images: Tensor) -> Tensor:
        outputs.extend(run_paths(network, images, stitches).values())
        return torch.cat(outputs)

    loss = take_step(
        forward,
        (images, labels.repeat(len(stitches))),  # as many images for each: the mean is the stitches' mean
        optimizer=optimizer,
        options=options,
        what=", ".join(map(str, stitches)),
        step=step,
    )
    if len(stitches) == 1:
        return loss, [loss]
    each = [
        F.cross_entropy(logits.detach(), labels, label_smoothing=options.label_smoothing)
        for logits in outputs
    ]
    return loss, torch.stack(each).tolist()


def _rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    lrs: dict[str, Any] = {group["name"]: group["lr"] for group in optimizer.param_groups}
    return {"lr": lrs.get("anchors", 0.0), "layer_lr": lrs.get("layers", 0.0)}
