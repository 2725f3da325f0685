"""The training loop: one process, one stitch per step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.stitch import Stitch
from stitchable.training.average import Average
from stitchable.training.blocks import prepared
from stitchable.training.keeper import Keeper
from stitchable.training.optim import build_optimizer, build_schedule
from stitchable.training.options import TrainOptions
from stitchable.training.randomness import own_generators, seed_step
from stitchable.training.samplers import Sampler
from stitchable.training.state import Remembering, TrainState
from stitchable.training.step import Batches, loss_scaler, memory_format, take_step, train_mode


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
        seconds: Since training began, pauses between an interruption and going on left out.
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
    seed: int = 0,
    keeper: Keeper | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
) -> TrainSummary:
    """Train a network by Algorithm 1.

    Args:
        network: Trained in place; in eval mode afterwards.
        batches: Called with the epoch; gives normalised images ``(batch, channels, rows, columns)`` and
            labels ``(batch,)``, int64. A training that goes on in the middle of an epoch also names the
            batch to start at.
        sampler: Names the stitch of each step.
        steps_per_epoch: Number of batches in an epoch; the schedule's length follows from it.
        options: See `TrainOptions`.
        seed: Of what blocks draw themselves: dropout, stochastic depth. Global generators are put back.
        keeper: Writes checkpoints, and names the one to begin from.
        on_step: Called after each step.

    Raises:
        StitchError: The loss is not finite (stitch and step are named; the step is not taken), memory does
            not suffice, an epoch gave no batch, or an option does not work on this device.
        Interrupted: The keeper was asked to stop.

    Source: Pan et al. 2023, Algorithm 1.
    """
    options = options or TrainOptions()
    device, layout = next(network.parameters()).device, memory_format(options)
    network.to(memory_format=layout)
    state = _begin(network, sampler, options, steps=options.epochs * steps_per_epoch)
    try:
        with own_generators(device), prepared(network, options):
            if keeper:
                keeper.start(state)
            for epoch in range(state.epoch, options.epochs):
                train_mode(network, options)
                for images, labels in batches(epoch, state.batch) if state.batch else batches(epoch):
                    seed_step(device, seed=seed, step=state.step)
                    stitch = sampler(state.step)
                    loss = take_step(
                        partial(network, stitch=stitch),
                        (images.to(device, memory_format=layout), labels.to(device)),
                        optimizer=state.optimizer,
                        options=options,
                        what=str(stitch),
                        step=state.step,
                        scaler=state.scaler,
                    )
                    state.counts[str(stitch)] += 1
                    if on_step:
                        on_step(_record(state, stitch, loss, len(images)))
                    _advance(state)
                    if keeper:
                        keeper.after_step(state)
                if not state.batch:
                    raise StitchError("An epoch gave no batch. Give at least batch_size training images.")
                if keeper:
                    keeper.after_epoch(state)
                state.epoch, state.batch = epoch + 1, 0
            if keeper:
                keeper.write(state)
            if state.average:
                state.average.give()
    finally:
        state.optimizer.zero_grad(set_to_none=True)
        network.eval().to(memory_format=torch.contiguous_format)
    return TrainSummary(state.step, state.seconds, dict(state.counts.most_common()))


def _begin(network: StitchedNetwork, sampler: Sampler, options: TrainOptions, *, steps: int) -> TrainState:
    optimizer = build_optimizer(network, options)
    return TrainState(
        network,
        optimizer,
        build_schedule(optimizer, options, steps=steps),
        memory={"sampler": sampler} if isinstance(sampler, Remembering) else {},
        scaler=loss_scaler(options, next(network.parameters()).device),
        average=None if options.ema is None else Average(network, options.ema),
    )


def _advance(state: TrainState) -> None:
    if state.average:
        state.average.update()
    state.schedule.step()
    state.step, state.batch = state.step + 1, state.batch + 1


def _record(state: TrainState, stitch: Stitch, loss: float, images: int) -> StepRecord:
    lrs: dict[str, Any] = {group["name"]: group["lr"] for group in state.optimizer.param_groups}
    rates = lrs.get("anchors", 0.0), lrs.get("layers", 0.0)
    return StepRecord(state.step, state.epoch, str(stitch), loss, *rates, images, round(state.seconds, 3))
