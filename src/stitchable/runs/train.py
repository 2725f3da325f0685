"""The second step of a run: joint training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Literal

from stitchable.errors import SharedError, StitchError
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks, joined
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for, training_batches
from stitchable.runs.probe import Probe
from stitchable.runs.resume import (
    check_same_checkpoint,
    checkpoint_to_go_on_from,
    identity_of,
    ties_to_processes,
)
from stitchable.runs.teaching import guard_images, load_teacher
from stitchable.runs.training_logs import TrainingLogs
from stitchable.tracking.options import TrackOptions
from stitchable.tracking.tracking import Tracking
from stitchable.training.anchor_drop import AnchorDropError, GuardRecord
from stitchable.training.checkpoint import checkpoints, remove_checkpoints
from stitchable.training.guard import AnchorGuard
from stitchable.training.interrupt import signals_as_wish
from stitchable.training.keeper import Keeper
from stitchable.training.loop import StepRecord, TrainSummary, train
from stitchable.training.objectives.build import build_objective
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.build import build_sampler

Resume = Literal["auto", "never"]


def train_run(
    run: RunFolder,
    *,
    data: DataConfig,
    options: TrainOptions,
    track: TrackOptions | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: Resume = "auto",
    overwrite: bool = False,
    trust_code: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> TrainSummary:
    """Train the fitted network of a run; write ``network/``, ``train.jsonl`` and ``train_summary.json``.

    Under ``torchrun`` all its processes train together (`stitchable.ranks.joined`): each reads its share of
    every batch, and the first one alone writes and calls back. They must see one run folder.

    Until it is done, ``checkpoints/`` holds its state. A training that was cut off at any moment comes to
    the same files as one that was not, but for the seconds. With a guard, ``guard.jsonl`` too; where it
    stops the training, ``stopped/`` alone.

    Args:
        run: A run that was fitted.
        data: Its ``train`` images are used, and its ``val`` images by the anchors' guard.
        options: See `TrainOptions`.
        track: Who else is told how it goes; no part of what decides the numbers.
        seed: Of the stitches, the order of the images, their augmentation, and what blocks draw.
        device: See `Ranks.device`.
        resume: ``"auto"`` goes on with a training that was cut off, from its last checkpoint;
            ``"never"`` begins anew and forgets it.
        overwrite: Train again a run that is trained.
        trust_code: Allow the folder's own architecture files to run.
        on_start: Called with the number of steps.
        on_step: Called after each step.
        on_note: Called with a line on what it goes on from, or on a library that tracks it no more.

    Raises:
        StitchError: The run is not fitted or trained already, training cannot go on, or not exactly.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    with joined() as ranks:
        return _train(
            run,
            ranks,
            data=data,
            options=options,
            track=track,
            seed=seed,
            device=device,
            resume=resume,
            overwrite=overwrite,
            trust_code=trust_code,
            on_start=on_start if ranks.first else None,
            on_step=on_step if ranks.first else None,
            on_note=on_note if ranks.first else None,
        )


def _train(
    run: RunFolder,
    ranks: Ranks,
    *,
    data: DataConfig,
    options: TrainOptions,
    track: TrackOptions | None,
    seed: int,
    device: str,
    resume: Resume,
    overwrite: bool,
    trust_code: bool,
    on_start: Callable[[int], None] | None,
    on_step: Callable[[StepRecord], None] | None,
    on_note: Callable[[str], None] | None,
) -> TrainSummary:
    run.require()
    unfinished = resume == "auto" and bool(checkpoints(run.checkpoints))
    if run.is_trained and not overwrite and not unfinished:
        raise StitchError(f"{run.path} is trained already. Pass --overwrite to train it again from its fit.")
    config = run.read_config()
    track = track if ranks.first and track else TrackOptions()  # only one process tells
    tracking = Tracking(track, run.tracking, name=run.path.resolve().name, warn=on_note)
    where = ranks.device(device)
    network = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(where)
    sampler = build_sampler(network.space, options.sampler, seed=seed)
    if options.shard:
        from stitchable.training.sharding import check_sharding  # takes a while to import

        check_sharding(network, options, ranks, alike=not options.sampler.per_rank)
    source = open_for(network, data, "train")
    # Originals are copied from the network as it was fitted, before anything changes it.
    teacher = load_teacher(network, options.objective, trust_code=trust_code)
    probe = Probe.of(run, network, data=data, options=options, seed=seed, ranks=ranks)
    ties = ties_to_processes(network, options)
    identity = identity_of(
        run,
        data=data,
        source=source,
        options=options,
        seed=seed,
        device=where,
        processes=ranks.count,
        ties=ties,
    )
    found, notes = checkpoint_to_go_on_from(run, identity) if unfinished else (None, [])
    guard, measuring = None, ALONE if options.shard else ranks  # blocks in pieces run in all at once
    if options.guard.every:
        source, held_out = guard_images(network, source, data, options.guard, ranks=measuring)
        guard = AnchorGuard(held_out, options.guard, seed=seed, ranks=measuring)
    objective = build_objective(network, options, seed=seed, teacher=teacher, guard=guard, rank=ranks.rank)
    batches, steps = training_batches(
        source, network.input_spec, options, seed=seed, workers=data.workers, ranks=ranks
    )
    check_same_checkpoint(found, ranks)
    if on_start:
        on_start(steps * options.epochs)
    done = found.step if found else 0
    trained = {"data": {**config["data"], **asdict(data)}, "train": asdict(options), "seed": seed}
    tracking.start({**config, **trained}, done=done)
    # From here on nothing is refused any more: the files of this training may take their places.
    if found is None and ranks.first:
        remove_checkpoints(run.checkpoints)
    logs = TrainingLogs(run, guarded=guard is not None, silent=not ranks.first)
    notes += logs.cut(done, steps=steps * options.epochs)
    if on_note:
        for note in notes:
            on_note(note)

    def record(each: StepRecord | GuardRecord) -> None:
        logs.write(each)
        tracking.write(each)
        if on_step and isinstance(each, StepRecord):
            on_step(each)

    with logs, signals_as_wish() as wish, tracking, _naming_what_is_kept(run, network, ranks):
        if guard:
            guard.on_record = record
        summary = train(
            network,
            batches,
            sampler=sampler,
            steps_per_epoch=steps,
            options=options,
            objective=objective,
            guard=guard,
            seed=seed,
            ranks=ranks,
            keeper=Keeper(
                run.checkpoints,
                options.checkpoint,
                found=found,
                identity=identity.as_data(),
                wish=wish,
                ranks=ranks,
                pieces=options.shard,
                before=logs.sync,
                probe=probe.loss if probe else None,
                keep_best=probe.keep if probe else None,
            ),
            on_step=record,
        )
        tracking.finish(summary)
    if not ranks.first:
        ranks.wait()  # until the first one has put everything away
        return summary
    network.save_pretrained(run.network)
    # From here on nothing is lost: cut off now, it goes on from the last checkpoint, after all steps.
    run.train_summary_file.write_text(json.dumps(asdict(summary), indent=1) + "\n", encoding="utf-8")
    _drop_what_was_of_another(run, keep_best=probe is not None)
    run.write_config({**config, **trained, "track": asdict(track)})
    logs.finish()
    remove_checkpoints(run.checkpoints)
    ranks.wait()
    return summary


def _drop_what_was_of_another(run: RunFolder, *, keep_best: bool) -> None:
    """Remove what tells of an earlier network of the run."""
    run.curve.unlink(missing_ok=True)
    for folder in (run.stopped, *(() if keep_best else (run.best,))):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _naming_what_is_kept(run: RunFolder, network: StitchedNetwork, ranks: Ranks) -> Iterator[None]:
    try:
        yield
    except AnchorDropError as error:
        if ranks.first:
            network.save_pretrained(run.stopped)
            remove_checkpoints(run.checkpoints)  # they are of what must not go on
        raise StitchError(f"{error} It is kept in {run.stopped}.") from error
    except SharedError:
        raise  # the process that failed has named it
    except StitchError as error:
        kept = checkpoints(run.checkpoints)
        if not kept:
            raise
        raise StitchError(f"{error} The last good checkpoint is {kept[0]}.") from error
