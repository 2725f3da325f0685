"""The training loop: one process, one stitch per step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.stitch import Stitch
from stitchable.training.optim import build_optimizer, build_schedule
from stitchable.training.options import TrainOptions
from stitchable.training.samplers import Sampler
from stitchable.training.step import Batches, memory_format, take_step, train_mode


@dataclass(frozen=True)
class StepRecord:
    """What one step did; a line of ``train.jsonl``.

    Attributes:
        step: Counted from 0.
        epoch: Counted from 0.
        stitch: Id of the stitch that was trained.
        loss: Cross-entropy of its batch in nats, smoothed labels included.
        lr: Learning rate of the anchors.
        layer_lr: Learning rate of the stitching layers.
        images: Number of images in the batch.
        seconds: Since training began.
    """

    step: int
    epoch: int
    stitch: str
    loss: float
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
    """

    steps: int
    seconds: float
    counts: dict[str, int]


def train(
    network: StitchedNetwork,
    batches: Batches,
    *,
    sampler: Sampler,
    steps_per_epoch: int,
    options: TrainOptions | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
) -> TrainSummary:
    """Train a network by Algorithm 1.

    Args:
        network: Trained in place; in eval mode afterwards.
        batches: Called with the epoch; gives normalised images ``(batch, channels, rows, columns)`` and
            labels ``(batch,)``, int64.
        sampler: Names the stitch of each step.
        steps_per_epoch: Number of batches in an epoch; the schedule's length follows from it.
        options: See `TrainOptions`.
        on_step: Called after each step.

    Raises:
        StitchError: The loss is not finite (stitch and step are named; the step is not taken), or an
            epoch gave no batch.

    Source: Pan et al. 2023, Algorithm 1.
    """
    options = options or TrainOptions()
    device, layout = next(network.parameters()).device, memory_format(options)
    optimizer = build_optimizer(network, options)
    schedule = build_schedule(optimizer, options, steps=options.epochs * steps_per_epoch)
    counts: Counter[str] = Counter()
    began, step = time.monotonic(), 0
    network.to(memory_format=layout)
    try:
        for epoch in range(options.epochs):
            train_mode(network, options)
            before = step
            for images, labels in batches(epoch):
                stitch = sampler(step)
                loss = take_step(
                    partial(network, stitch=stitch),
                    (images.to(device, memory_format=layout), labels.to(device)),
                    optimizer=optimizer,
                    options=options,
                    what=str(stitch),
                    step=step,
                )
                counts[str(stitch)] += 1
                if on_step:
                    on_step(_record(step, epoch, stitch, loss, optimizer, len(images), began))
                schedule.step()
                step += 1
            if step == before:
                raise StitchError("An epoch gave no batch. Give at least batch_size training images.")
    finally:
        optimizer.zero_grad(set_to_none=True)
        network.eval().to(memory_format=torch.contiguous_format)
    return TrainSummary(step, time.monotonic() - began, dict(counts.most_common()))


def _record(
    step: int,
    epoch: int,
    stitch: Stitch,
    loss: float,
    optimizer: torch.optim.Optimizer,
    images: int,
    began: float,
) -> StepRecord:
    lrs: dict[str, Any] = {group["name"]: group["lr"] for group in optimizer.param_groups}
    seconds = round(time.monotonic() - began, 3)
    return StepRecord(
        step, epoch, str(stitch), loss, lrs.get("anchors", 0.0), lrs.get("layers", 0.0), images, seconds
    )
