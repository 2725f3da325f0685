"""All that a training needs, checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for, small_batch, training_batches
from stitchable.runs.outside import named_outside
from stitchable.runs.probe import Probe
from stitchable.runs.resume import (
    Identity,
    check_same_checkpoint,
    checkpoint_to_go_on_from,
    identity_of,
    ties_to_processes,
)
from stitchable.runs.teaching import check_guard_steers, guard_images, load_teacher, open_held_out
from stitchable.training.anchor_drop import GuardRecord
from stitchable.training.checkpoint import Checkpoint
from stitchable.training.guard import AnchorGuard
from stitchable.training.interrupt import Wish
from stitchable.training.keeper import Keeper
from stitchable.training.loop import StepRecord, TrainSummary, train
from stitchable.training.objectives.build import build_objective
from stitchable.training.objectives.losses import Objective
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.build import build_sampler
from stitchable.training.samplers.sampler import Sampler
from stitchable.training.step import Batches


@dataclass(frozen=True)
class Prepared:
    """A training that may begin.

    Attributes:
        network: As it was fitted, on its device.
        sampler: Names the stitches.
        objective: What is minimised; it holds copies of the anchors as they were fitted.
        guard: Watches the anchors, where that is asked for.
        batches: This process's share of the images, by epoch.
        steps_per_epoch: Number of batches in an epoch.
        probe: Chooses the best epoch, where that is asked for.
        identity: What decides the numbers.
        found: The checkpoint to go on from.
        notes: What is worth saying of it.
        ranks: The processes that train together.
    """

    network: StitchedNetwork
    sampler: Sampler
    objective: Objective
    guard: AnchorGuard | None
    batches: Batches
    steps_per_epoch: int
    probe: Probe | None
    identity: Identity
    found: Checkpoint | None
    notes: list[str]
    ranks: Ranks

    @property
    def done(self) -> int:
        """Steps that are done already."""
        return self.found.step if self.found else 0

    def keeper(
        self, run: RunFolder, options: TrainOptions, *, wish: Wish, before: Callable[[], None]
    ) -> Keeper:
        """What writes the checkpoints; ``before`` is called before each."""
        return Keeper(
            run.checkpoints,
            options.checkpoint,
            found=self.found,
            identity=self.identity.as_data(),
            wish=wish,
            ranks=self.ranks,
            pieces=options.shard,
            before=before,
            probe=self.probe.loss if self.probe else None,
            keep_best=self.probe.keep if self.probe else None,
        )

    def train(
        self,
        options: TrainOptions,
        *,
        seed: int,
        keeper: Keeper,
        on_record: Callable[[StepRecord | GuardRecord], None],
    ) -> TrainSummary:
        """Train; for what it raises see `stitchable.training.loop.train`."""
        if self.guard:
            self.guard.on_record = on_record
        return train(
            self.network,
            self.batches,
            sampler=self.sampler,
            steps_per_epoch=self.steps_per_epoch,
            options=options,
            objective=self.objective,
            guard=self.guard,
            seed=seed,
            ranks=self.ranks,
            keeper=keeper,
            on_step=on_record,
        )


def prepare(
    run: RunFolder,
    ranks: Ranks,
    *,
    data: DataConfig,
    options: TrainOptions,
    seed: int,
    device: str,
    go_on: bool,
    trust_code: bool,
) -> Prepared:
    """Read and check whatever the training of a run needs.

    Args:
        run: A run that was fitted.
        ranks: The processes that train together.
        data: Its ``train`` images, and its ``val`` images for guard and probe.
        options: See `TrainOptions`.
        seed: Of everything random.
        device: See `Ranks.device`.
        go_on: From the run's newest checkpoint.
        trust_code: Allow the folder's own architecture files to run.

    Raises:
        StitchError: Something is missing, does not fit, or would not go on exactly.
    """
    where = ranks.device(device)
    network = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(where)
    sampler = build_sampler(network.space, options.sampler, seed=seed)
    if options.shard:
        from stitchable.training.sharding import check_sharding  # takes a while to import

        check_sharding(network, options, ranks, alike=not options.sampler.per_rank)
    source = open_for(network, data, "train")
    # Originals are copied from the network as it was fitted, before anything changes it.
    teacher = load_teacher(network, options.objective, trust_code=trust_code)
    held_out = open_held_out(network, data, options)
    probe = Probe.of(run, network, held_out, options=options, workers=data.workers, seed=seed, ranks=ranks)
    identity = identity_of(
        run,
        data=data,
        source=source,
        options=options,
        seed=seed,
        device=where,
        processes=ranks.count,
        ties=ties_to_processes(network, options),
        outside=named_outside(options, teacher=teacher, held_out=held_out),
    )
    found, notes = checkpoint_to_go_on_from(run, identity) if go_on else (None, [])
    guard, measuring = None, ALONE if options.shard else ranks  # blocks in pieces run in all at once
    if options.guard.every:
        source, measured = guard_images(
            network, source, held_out, options.guard, workers=data.workers, ranks=measuring
        )
        guard = AnchorGuard(measured, options.guard, seed=seed, ranks=measuring)
    objective = build_objective(network, options, seed=seed, teacher=teacher, guard=guard, rank=ranks.rank)
    batches, steps = training_batches(
        source, network.input_spec, options, seed=seed, workers=data.workers, ranks=ranks
    )
    check_guard_steers(options, steps=steps * options.epochs)
    notes += small_batch(source, options)
    check_same_checkpoint(found, ranks)
    return Prepared(network, sampler, objective, guard, batches, steps, probe, identity, found, notes, ranks)
