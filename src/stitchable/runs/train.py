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
from stitchable.ranks import Ranks, joined
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.prepare import prepare
from stitchable.runs.training_logs import TrainingLogs
from stitchable.tracking.options import TrackOptions
from stitchable.tracking.tracking import Tracking
from stitchable.training.anchor_drop import AnchorDropError, GuardRecord
from stitchable.training.checkpoint import checkpoints, remove_checkpoints
from stitchable.training.interrupt import signals_as_wish
from stitchable.training.loop import StepRecord, TrainSummary
from stitchable.training.options import TrainOptions

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
    ready = prepare(
        run,
        ranks,
        data=data,
        options=options,
        seed=seed,
        device=device,
        go_on=unfinished,
        trust_code=trust_code,
    )
    steps = ready.steps_per_epoch * options.epochs
    if on_start:
        on_start(steps)
    trained = {"data": {**config["data"], **asdict(data)}, "train": asdict(options), "seed": seed}
    tracking.start({**config, **trained}, done=ready.done)
    # From here on nothing is refused any more: the files of this training may take their places.
    if ready.found is None and ranks.first:
        remove_checkpoints(run.checkpoints)
    logs = TrainingLogs(run, guarded=ready.guard is not None, silent=not ranks.first)
    for note in [*ready.notes, *logs.cut(ready.done, steps=steps)]:
        if on_note:
            on_note(note)

    def record(each: StepRecord | GuardRecord) -> None:
        logs.write(each)
        tracking.write(each)
        if on_step and isinstance(each, StepRecord):
            on_step(each)

    network = ready.network
    with logs, signals_as_wish() as wish, tracking, _naming_what_is_kept(run, network, ranks):
        keeper = ready.keeper(run, options, wish=wish, before=logs.sync)
        summary = ready.train(options, seed=seed, keeper=keeper, on_record=record)
        tracking.finish(summary)
    if not ranks.first:
        ranks.wait()  # until the first one has put everything away
        return summary
    network.save_pretrained(run.network)
    # From here on nothing is lost: cut off now, it goes on from the last checkpoint, after all steps.
    run.train_summary_file.write_text(json.dumps(asdict(summary), indent=1) + "\n", encoding="utf-8")
    _drop_what_was_of_another(run, keep_best=ready.probe is not None)
    run.write_config({**config, **trained, "track": asdict(track)})
    logs.finish()
    remove_checkpoints(run.checkpoints)
    ranks.wait()
    return summary


def _drop_what_was_of_another(run: RunFolder, *, keep_best: bool) -> None:
    """Remove what tells of an earlier network of the run."""
    told = (run.report, *run.figures) if run.curve.is_file() else ()  # otherwise these are of the fitted one
    for file in (run.curve, run.outcomes, *told):
        file.unlink(missing_ok=True)
    for folder in (run.stopped, run.sweeping, *(() if keep_best else (run.best,))):
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
