"""The second step of a run: joint training."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Literal

from stitchable.device import choose_device
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for, training_batches
from stitchable.runs.probe import Probe
from stitchable.runs.resume import checkpoint_to_go_on_from, cut_log, identity_of
from stitchable.training.checkpoint import Checkpoint, checkpoints, remove_checkpoints
from stitchable.training.interrupt import signals_as_wish
from stitchable.training.keeper import Keeper
from stitchable.training.loop import StepRecord, TrainSummary, train
from stitchable.training.options import TrainOptions
from stitchable.training.samplers import UniformSampler

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
    the same files as one that was not, but for the seconds.

    Args:
        run: A run that was fitted.
        data: Its ``train`` images are used.
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
    source = open_for(network, data, "train")
    batches, steps = training_batches(source, network.input_spec, options, seed=seed, workers=data.workers)
    probe = Probe.of(run, network, data=data, options=options, seed=seed)
    identity = identity_of(run, data=data, source=source, options=options, seed=seed, device=where)
    found, notes = checkpoint_to_go_on_from(run, identity) if unfinished else (None, [])
    if on_start:
        on_start(steps * options.epochs)
    if found is None:
        remove_checkpoints(run.checkpoints)
    notes += _begin_log(run, found, steps=steps * options.epochs)
    if on_note:
        for note in notes:
            on_note(note)

    # Under another name until it is done, so that an earlier training's log outlives a failure.
    with run.training_file.open("a", encoding="utf-8", buffering=1) as log, signals_as_wish() as wish:

        def record(step: StepRecord) -> None:
            log.write(json.dumps(asdict(step)) + "\n")
            if on_step:
                on_step(step)

        keeper = Keeper(
            run.checkpoints,
            options.checkpoint,
            found=found,
            identity=identity.as_data(),
            wish=wish,
            before=lambda: os.fsync(log.fileno()),
            probe=probe.loss if probe else None,
            keep_best=probe.keep if probe else None,
        )
        with _naming_what_is_kept(run):
            summary = train(
                network,
                batches,
                sampler=UniformSampler(network.space, seed=seed),
                steps_per_epoch=steps,
                options=options,
                seed=seed,
                keeper=keeper,
                on_step=record,
            )
    network.save_pretrained(run.network)
    # From here on nothing is lost: cut off now, it goes on from the last checkpoint, after all steps.
    run.train_summary_file.write_text(json.dumps(asdict(summary), indent=1) + "\n", encoding="utf-8")
    run.curve.unlink(missing_ok=True)  # it was another network's
    if probe is None:
        shutil.rmtree(run.best, ignore_errors=True)  # likewise
    run.write_config(
        {**config, "data": {**config["data"], **asdict(data)}, "train": asdict(options), "seed": seed}
    )
    run.training_file.replace(run.train_file)
    remove_checkpoints(run.checkpoints)
    return summary


def _begin_log(run: RunFolder, found: Checkpoint | None, *, steps: int) -> list[str]:
    """Cut the log to the steps that the checkpoint has done; says so where lines are missing."""
    done = found.step if found else 0
    if done == steps and not run.training_file.exists() and run.train_file.exists():
        run.train_file.replace(run.training_file)  # it was cut off while it put its things away
    left = cut_log(run.training_file, done)
    return [f"{done - left} steps are missing from {run.training_file}"] if left < done else []


@contextmanager
def _naming_what_is_kept(run: RunFolder) -> Iterator[None]:
    try:
        yield
    except StitchError as error:
        kept = checkpoints(run.checkpoints)
        if not kept:
            raise
        raise StitchError(f"{error} The last good checkpoint is {kept[0]}.") from error
