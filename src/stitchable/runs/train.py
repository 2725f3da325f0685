"""The second step of a run: joint training."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Literal

from stitchable.device import choose_device
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for, training_batches
from stitchable.runs.probe import Probe
from stitchable.runs.resume import checkpoint_to_go_on_from, cut_guard_log, cut_log, identity_of
from stitchable.runs.teaching import guard_images, load_teacher
from stitchable.training.anchor_drop import AnchorDropError, GuardRecord
from stitchable.training.checkpoint import Checkpoint, checkpoints, remove_checkpoints
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

    Until it is done, ``checkpoints/`` holds its state. A training that was cut off at any moment comes to
    the same files as one that was not, but for the seconds. With a guard, ``guard.jsonl`` too; where it
    stops the training, ``stopped/`` alone.

    Args:
        run: A run that was fitted.
        data: Its ``train`` images are used, and its ``val`` images by the anchors' guard.
        options: See `TrainOptions`.
        seed: Of the stitches, the order of the images, their augmentation, and what blocks draw.
        device: See `choose_device`.
        resume: ``"auto"`` goes on with a training that was cut off, from its last checkpoint;
            ``"never"`` begins anew and forgets it.
        overwrite: Train again a run that is trained.
        trust_code: Allow the folder's own architecture files to run.
        on_start: Called with the number of steps.
        on_step: Called after each step.
        on_note: Called with a line on what it goes on from.

    Raises:
        StitchError: The run is not fitted or trained already, training cannot go on, or not exactly.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    run.require()
    unfinished = resume == "auto" and bool(checkpoints(run.checkpoints))
    if run.is_trained and not overwrite and not unfinished:
        raise StitchError(f"{run.path} is trained already. Pass --overwrite to train it again from its fit.")
    config = run.read_config()
    where = choose_device(device)
    network = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(where)
    sampler = build_sampler(network.space, options.sampler, seed=seed)
    source = open_for(network, data, "train")
    # Originals are copied from the network as it was fitted, before anything changes it.
    teacher = load_teacher(network, options.objective, trust_code=trust_code)
    probe = Probe.of(run, network, data=data, options=options, seed=seed)
    identity = identity_of(run, data=data, source=source, options=options, seed=seed, device=where)
    found, notes = checkpoint_to_go_on_from(run, identity) if unfinished else (None, [])
    guard = None
    with ExitStack() as opened:
        if options.guard.every:
            source, held_out = guard_images(network, source, data, options.guard)
            guard = AnchorGuard(held_out, options.guard, seed=seed)
        objective = build_objective(network, options, seed=seed, teacher=teacher, guard=guard)
        batches, steps = training_batches(
            source, network.input_spec, options, seed=seed, workers=data.workers
        )
        if on_start:
            on_start(steps * options.epochs)
        if found is None:
            remove_checkpoints(run.checkpoints)
        notes += _begin_logs(run, found, steps=steps * options.epochs)
        if on_note:
            for note in notes:
                on_note(note)
        # Under other names until it is done, so that an earlier training's logs outlive a failure.
        log = opened.enter_context(_appended(run.training_file))
        logs = [log]
        if guard:
            logs.append(opened.enter_context(_appended(run.guarding_file)))
            guard.on_record = lambda record: _write(logs[1], record)
        wish = opened.enter_context(signals_as_wish())

        def sync() -> None:
            for each in logs:
                os.fsync(each.fileno())

        def record(step: StepRecord) -> None:
            _write(log, step)
            if on_step:
                on_step(step)

        keeper = Keeper(
            run.checkpoints,
            options.checkpoint,
            found=found,
            identity=identity.as_data(),
            wish=wish,
            before=sync,
            probe=probe.loss if probe else None,
            keep_best=probe.keep if probe else None,
        )
        with _naming_what_is_kept(run, network):
            summary = train(
                network,
                batches,
                sampler=sampler,
                steps_per_epoch=steps,
                options=options,
                objective=objective,
                guard=guard,
                seed=seed,
                keeper=keeper,
                on_step=record,
            )
    network.save_pretrained(run.network)
    # From here on nothing is lost: cut off now, it goes on from the last checkpoint, after all steps.
    run.train_summary_file.write_text(json.dumps(asdict(summary), indent=1) + "\n", encoding="utf-8")
    run.curve.unlink(missing_ok=True)  # it was another network's
    for folder in (run.stopped, *(() if probe else (run.best,))):
        shutil.rmtree(folder, ignore_errors=True)  # likewise
    run.write_config(
        {**config, "data": {**config["data"], **asdict(data)}, "train": asdict(options), "seed": seed}
    )
    if guard:
        run.guarding_file.replace(run.guard_file)
    else:
        run.guard_file.unlink(missing_ok=True)
    run.training_file.replace(run.train_file)
    remove_checkpoints(run.checkpoints)
    return summary


def _appended(path: Path) -> IO[str]:
    return path.open("a", encoding="utf-8", buffering=1)


def _write(log: IO[str], record: StepRecord | GuardRecord) -> None:
    log.write(json.dumps(asdict(record)) + "\n")


def _begin_logs(run: RunFolder, found: Checkpoint | None, *, steps: int) -> list[str]:
    """Cut the logs to the steps that the checkpoint has done; says so where lines are missing."""
    done = found.step if found else 0
    for partial, whole in ((run.training_file, run.train_file), (run.guarding_file, run.guard_file)):
        if done == steps and not partial.exists() and whole.exists():
            whole.replace(partial)  # it was cut off while it put its things away
    cut_guard_log(run.guarding_file, done)
    left = cut_log(run.training_file, done)
    return [f"{done - left} steps are missing from {run.training_file}"] if left < done else []


@contextmanager
def _naming_what_is_kept(run: RunFolder, network: StitchedNetwork) -> Iterator[None]:
    try:
        yield
    except AnchorDropError as error:
        network.save_pretrained(run.stopped)
        remove_checkpoints(run.checkpoints)  # they are of what must not go on
        raise StitchError(f"{error} It is kept in {run.stopped}.") from error
    except StitchError as error:
        kept = checkpoints(run.checkpoints)
        if not kept:
            raise
        raise StitchError(f"{error} The last good checkpoint is {kept[0]}.") from error
