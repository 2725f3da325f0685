"""The training loop: one process or several, one stitch per step or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.space.tree import shared_macs
from stitchable.training.average import Average
from stitchable.training.blocks import prepared
from stitchable.training.exchange import Exchange, StepResult
from stitchable.training.guard import AnchorGuard
from stitchable.training.keeper import Keeper
from stitchable.training.objectives.build import build_objective
from stitchable.training.objectives.losses import Objective
from stitchable.training.optim import build_optimizer, build_schedule
from stitchable.training.options import TrainOptions
from stitchable.training.randomness import own_generators, seed_step
from stitchable.training.samplers.sampler import SameOnAllRanks, Sampler
from stitchable.training.saved_weights import SavedWeights
from stitchable.training.state import TrainState
from stitchable.training.step import Batches, Clip, loss_scaler, memory_format, take_step
from stitchable.training.tuning import Tuning


@dataclass(frozen=True)
class StepRecord:
    """What one step did; a line of ``train.jsonl``.

    Attributes:
        step: Counted from 0.
        epoch: Counted from 0.
        stitches: Ids of the stitches that were trained, the dearest first; where each process trains its own,
            those of each in turn.
        loss: What was minimised: the objective's mean over the stitches.
        losses: For each stitch its part of the loss.
        terms: For each term of the objective its mean over the stitches that it was asked for, not weighted.
        lr: Learning rate of the anchors, or of what joints own of them where they are frozen; multipliers
            apart.
        layer_lr: Learning rate of the stitching layers.
        images: Number of images in the batch, of all processes.
        seconds: Since training began, pauses between an interruption and going on left out.
    """

    step: int
    epoch: int
    stitches: list[str]
    loss: float
    losses: list[float]
    terms: dict[str, float]
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
        counts: How many steps each stitch was trained, for those that were; where each process trains its
            own stitches, those of each count.
        macs_run: Forward MACs per image, summed over the steps (and over processes that train their own
            stitches); what stitches of a step share counts once.
        macs_alone: What they would have been with every stitch run by itself.
        anchor_drops: Points of top-1 that each anchor has lost to its original at the guard's last
            measurement, which is of the last step; empty without one.
        space: Number of stitches that there are.
    """

    steps: int
    seconds: float
    counts: dict[str, int]
    macs_run: int
    macs_alone: int
    anchor_drops: dict[str, float] = field(default_factory=dict)
    space: int = 0


def train(
    network: StitchedNetwork,
    batches: Batches,
    *,
    sampler: Sampler,
    steps_per_epoch: int,
    options: TrainOptions | None = None,
    objective: Objective | None = None,
    guard: AnchorGuard | None = None,
    seed: int = 0,
    keeper: Keeper | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
    ranks: Ranks = ALONE,
) -> TrainSummary:
    """Train a network: Algorithm 1, with one stitch per step or several.

    Args:
        network: Trained in place, from the weights that it has, which are what ``interpolation`` moves its
            anchors back to; in eval mode afterwards.
        batches: Called with the epoch; gives normalised images ``(batch, channels, rows, columns)`` and
            labels ``(batch,)``, int64. A training that goes on in the middle of an epoch also names the
            batch to start at. With several processes, this one's share of each batch, at least one image.
        sampler: Names the stitches of each step, and is told their losses.
        steps_per_epoch: Number of batches in an epoch; the schedule's length follows from it.
        options: See `TrainOptions`; ``options.sampler`` is not read here.
        objective: What is minimised; made from the options where left out, which is enough unless they name
            a teacher that is no anchor, or training goes on from a checkpoint: originals are copied from the
            network as it is.
        guard: Watches the anchors; ``None`` does not, whatever the options say.
        seed: Of what blocks draw themselves: dropout, stochastic depth. Global generators are put back.
        keeper: Writes checkpoints, and names the one to begin from.
        on_step: Called after each step.
        ranks: The processes that train together, each with a network, sampler, objective and guard of its
            own that are the same, and a keeper of which only the first one's writes. All come to the same
            weights. They train the same stitches where the sampler is `SameOnAllRanks`.

    Raises:
        StitchError: The loss is not finite (stitches and step are named; the step is not taken), or a weight
            is not in the end; memory does not suffice, an epoch gave no batch, or the options fit neither
            network nor device.
        AnchorDropError: See `AnchorGuard`.
        Interrupted: The keeper was asked to stop.

    Source: Pan et al. 2023, Algorithm 1.
    """
    options = options or TrainOptions()
    device, layout = next(network.parameters()).device, memory_format(options)
    if objective is None:
        objective = build_objective(network, options, seed=seed, guard=guard)
    network.to(memory_format=layout)
    tuning = Tuning(network, options)
    try:
        with (
            own_generators(device),
            _cut(network, sampler, options, ranks) as how,
            prepared(network, options),
        ):
            steps = options.epochs * steps_per_epoch
            state = _begin(network, sampler, guard, options, steps=steps)
            exchange = _exchange(state, sampler, options, ranks)
            if keeper:
                keeper.start(state)
            if guard:
                guard.begin(network, steps=state.step, as_saved=state.saved.in_place)
            for epoch in range(state.epoch, options.epochs):
                tuning.train_mode()
                for images, labels in batches(epoch, state.batch) if state.batch else batches(epoch):
                    seed_step(device, seed=seed, step=state.step, rank=ranks.rank)
                    stitches = sampler(state.step, ranks.rank)
                    if guard:
                        stitches = guard.choose(state.step, stitches, network)
                    asked = (keeper.signal, keeper.due(state.step + 1)) if keeper else (None, False)
                    exchange.begin(len(images), signal=asked[0], due=asked[1])
                    with how.step():
                        take_step(
                            partial(objective, network, stitches, step=state.step),
                            (images.to(device, memory_format=layout), labels.to(device)),
                            optimizer=state.optimizer,
                            options=options,
                            what=", ".join(map(str, stitches)),
                            step=state.step,
                            scaler=state.scaler,
                            before_update=exchange.meet,
                            weight=exchange.weight,
                            clip=how.clip,
                        )
                    result = exchange.result
                    sampler.observe(state.step, result.by_stitch())
                    _count(state, result)
                    if on_step:
                        on_step(_record(state, result))
                    _advance(state)
                    if guard:  # what is saved has been measured, whatever the number of steps
                        look = guard.measure if state.step == steps else guard.after_step
                        look(network, state.step)
                    if keeper:
                        signal = result.signal if ranks.count > 1 else keeper.signal
                        keeper.after_step(state, signal=signal, due=result.due if options.shard else None)
                if not state.batch:
                    raise StitchError("An epoch gave no batch. Give at least batch_size training images.")
                if keeper:
                    keeper.after_epoch(state)
                state.epoch, state.batch = epoch + 1, 0
            state.check_finite()
            if keeper:
                keeper.write(state)
            state.saved.give()
    finally:
        network.zero_grad(set_to_none=True)
        tuning.finish()
        network.eval().to(memory_format=torch.contiguous_format)
    return TrainSummary(
        state.step,
        state.seconds,
        dict(state.counts.most_common()),
        state.macs_run,
        state.macs_alone,
        {name: record.drop for name, record in guard.records.items()} if guard else {},
        network.space.count,
    )


@dataclass(frozen=True)
class _How:
    """What a step does otherwise where blocks are in pieces."""

    step: Callable[[], AbstractContextManager[None]]
    clip: Clip


@contextmanager
def _cut(network: StitchedNetwork, sampler: Sampler, options: TrainOptions, ranks: Ranks) -> Iterator[_How]:
    """Cut the blocks into pieces where the options say so."""
    if not options.shard:
        yield _How(nullcontext, torch.nn.utils.clip_grad_norm_)
        return
    from stitchable.training.sharding import check_sharding, clip_pieces, leaving_at_once, sharded

    check_sharding(network, options, ranks, alike=isinstance(sampler, SameOnAllRanks))
    with sharded(network, ranks):
        yield _How(leaving_at_once, partial(clip_pieces, ranks=ranks))


def _begin(
    network: StitchedNetwork,
    sampler: Sampler,
    guard: AnchorGuard | None,
    options: TrainOptions,
    *,
    steps: int,
) -> TrainState:
    optimizer = build_optimizer(network, options)
    average = None if options.ema is None else Average(network, options.ema)
    return TrainState(
        network,
        optimizer,
        build_schedule(optimizer, options, steps=steps),
        SavedWeights(network, average=average, share=options.interpolation),
        memory={"sampler": sampler, **({"guard": guard} if guard else {})},
        scaler=loss_scaler(options, next(network.parameters()).device),
        average=average,
    )


def _exchange(state: TrainState, sampler: Sampler, options: TrainOptions, ranks: Ranks) -> Exchange:
    return Exchange(
        ranks,
        [each for group in state.optimizer.param_groups for each in group["params"]],
        shared=isinstance(sampler, SameOnAllRanks),
        pieces=options.shard,
        statistics=state.network if options.batch_norm == "running" else None,
    )


def _count(state: TrainState, result: StepResult) -> None:
    for stitches in result.trained:
        state.counts.update(map(str, stitches))
        macs = shared_macs(state.network.space, stitches)
        state.macs_run += macs.run
        state.macs_alone += macs.alone


def _advance(state: TrainState) -> None:
    if state.average:
        state.average.update()
    state.schedule.step()
    state.step, state.batch = state.step + 1, state.batch + 1


def _record(state: TrainState, result: StepResult) -> StepRecord:
    lrs: dict[str, Any] = {group["name"]: group["lr"] for group in state.optimizer.param_groups}
    return StepRecord(
        step=state.step,
        epoch=state.epoch,
        stitches=[str(stitch) for losses in result.losses for stitch in losses],
        loss=result.loss,
        losses=[loss for losses in result.losses for loss in losses.values()],
        terms=result.terms,
        lr=lrs.get("anchors", lrs.get("behind", 0.0)),
        layer_lr=lrs.get("layers", 0.0),
        images=result.images,
        seconds=round(state.seconds, 3),
    )
