"""The training loop: one process, one stitch or several per step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.space.tree import shared_macs
from stitchable.training.guard import AnchorGuard
from stitchable.training.objectives.build import build_objective
from stitchable.training.objectives.losses import Objective
from stitchable.training.optim import build_optimizer, build_schedule
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.sampler import Sampler
from stitchable.training.step import Batches, memory_format, take_step
from stitchable.training.tuning import Tuning


@dataclass(frozen=True)
class StepRecord:
    """What one step did; a line of ``train.jsonl``.

    Attributes:
        step: Counted from 0.
        epoch: Counted from 0.
        stitches: Ids of the stitches that were trained, the dearest first.
        loss: What was minimised: the objective's mean over the stitches.
        losses: For each stitch its part of the loss.
        lr: Learning rate of the anchors, multipliers apart.
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
        anchor_drops: Points of top-1 that each anchor has lost to its original at the guard's last
            measurement; empty without one.
    """

    steps: int
    seconds: float
    counts: dict[str, int]
    macs_run: int
    macs_alone: int
    anchor_drops: dict[str, float] = field(default_factory=dict)


def train(
    network: StitchedNetwork,
    batches: Batches,
    *,
    sampler: Sampler,
    steps_per_epoch: int,
    options: TrainOptions | None = None,
    objective: Objective | None = None,
    guard: AnchorGuard | None = None,
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
        objective: What is minimised; made from the options where left out, which is enough unless they name
            a teacher that is no anchor.
        guard: Watches the anchors; ``None`` does not, whatever the options say.
        on_step: Called after each step.

    Raises:
        StitchError: The loss is not finite (stitches and step are named; the step is not taken), an epoch
            gave no batch, or the options do not fit the network.
        AnchorDropError: See `AnchorGuard`.

    Source: Pan et al. 2023, Algorithm 1.
    """
    options = options or TrainOptions()
    device, layout = next(network.parameters()).device, memory_format(options)
    if objective is None:
        objective = build_objective(network, options, guard=guard)
    counts: Counter[str] = Counter()
    macs_run = macs_alone = 0
    began, step = time.monotonic(), 0
    network.to(memory_format=layout)
    tuning = Tuning(network, options)
    try:
        optimizer = build_optimizer(network, options)
        schedule = build_schedule(optimizer, options, steps=options.epochs * steps_per_epoch)
        if guard:
            guard.begin(network)
        for epoch in range(options.epochs):
            tuning.train_mode()
            before = step
            for images, labels in batches(epoch):
                stitches = sampler(step)
                if guard:
                    stitches = guard.choose(step, stitches, network)
                losses = take_step(
                    partial(
                        objective,
                        network,
                        stitches,
                        images.to(device, memory_format=layout),
                        labels.to(device),
                        step=step,
                    ),
                    optimizer=optimizer,
                    options=options,
                    what=", ".join(map(str, stitches)),
                    step=step,
                )
                sampler.observe(step, losses.per_stitch)
                counts.update(map(str, stitches))
                macs = shared_macs(network.space, stitches)
                macs_run, macs_alone = macs_run + macs.run, macs_alone + macs.alone
                if on_step:
                    record = StepRecord(
                        step=step,
                        epoch=epoch,
                        stitches=[str(stitch) for stitch in stitches],
                        loss=losses.value,
                        losses=[losses.per_stitch[stitch] for stitch in stitches],
                        **_rates(optimizer),
                        images=len(images),
                        seconds=round(time.monotonic() - began, 3),
                    )
                    on_step(record)
                if guard:
                    guard.after_step(network, step)
                schedule.step()
                step += 1
            if step == before:
                raise StitchError("An epoch gave no batch. Give at least batch_size training images.")
    finally:
        network.zero_grad(set_to_none=True)
        tuning.finish()
        network.eval().to(memory_format=torch.contiguous_format)
    return TrainSummary(
        step,
        time.monotonic() - began,
        dict(counts.most_common()),
        macs_run,
        macs_alone,
        {name: record.drop for name, record in guard.records.items()} if guard else {},
    )


def _rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    lrs: dict[str, Any] = {group["name"]: group["lr"] for group in optimizer.param_groups}
    return {"lr": lrs.get("anchors", 0.0), "layer_lr": lrs.get("layers", 0.0)}
