"""The training loop: one process, one stitch per step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.stitch import Stitch
from stitchable.training.optim import build_optimizer, build_schedule
from stitchable.training.options import TrainOptions
from stitchable.training.samplers import Sampler

Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]


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
    device = next(network.parameters()).device
    optimizer = build_optimizer(network, options)
    schedule = build_schedule(optimizer, options, steps=options.epochs * steps_per_epoch)
    counts: Counter[str] = Counter()
    began, step = time.monotonic(), 0
    try:
        for epoch in range(options.epochs):
            _train_mode(network, options)
            before = step
            for images, labels in batches(epoch):
                stitch = sampler(step)
                loss = _step(network, stitch, images.to(device), labels.to(device), optimizer, options, step)
                counts[str(stitch)] += 1
                if on_step:
                    on_step(_record(step, epoch, stitch, loss, optimizer, len(images), began))
                schedule.step()
                step += 1
            if step == before:
                raise StitchError("An epoch gave no batch. Give at least batch_size training images.")
    finally:
        optimizer.zero_grad(set_to_none=True)
        network.eval()
    return TrainSummary(step, time.monotonic() - began, dict(counts.most_common()))


def _step(
    network: StitchedNetwork,
    stitch: Stitch,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    options: TrainOptions,
    step: int,
) -> float:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=options.autocast == "bfloat16"):
        logits = network(images, stitch)
        loss = F.cross_entropy(logits, labels, label_smoothing=options.label_smoothing)
    value = float(loss.detach())
    if not torch.isfinite(loss.detach()):
        raise StitchError(
            f"The loss of {stitch} is {value} at step {step}. Lower train.lr, or set train.clip_norm."
        )
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    if options.clip_norm is not None:
        used = [parameter for parameter in network.parameters() if parameter.grad is not None]
        torch.nn.utils.clip_grad_norm_(used, options.clip_norm)
    optimizer.step()
    return value


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


def _train_mode(network: StitchedNetwork, options: TrainOptions) -> None:
    network.train()
    if options.batch_norm == "frozen":
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
