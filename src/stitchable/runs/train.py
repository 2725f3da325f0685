"""The second step of a run: joint training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from stitchable.device import choose_device
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for, training_batches
from stitchable.runs.teaching import guard_images, load_teacher
from stitchable.training.anchor_drop import AnchorDropError, GuardRecord
from stitchable.training.guard import AnchorGuard
from stitchable.training.loop import StepRecord, TrainSummary, train
from stitchable.training.objectives.build import build_objective
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.build import build_sampler


def train_run(
    run: RunFolder,
    *,
    data: DataConfig,
    options: TrainOptions,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    trust_code: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
) -> TrainSummary:
    """Train the fitted network of a run; write ``network/``, ``train.jsonl`` and ``train_summary.json``.

    With a guard, ``guard.jsonl`` too; where it stops the training, ``stopped/`` alone.

    Args:
        run: A run that was fitted.
        data: Its ``train`` images are used, and its ``val`` images by the anchors' guard.
        options: See `TrainOptions`.
        seed: Of the stitches, the order of the images and their augmentation.
        device: See `choose_device`.
        overwrite: Train again a run that is trained.
        trust_code: Allow the folder's own architecture files to run.
        on_start: Called with the number of steps.
        on_step: Called after each step.

    Raises:
        StitchError: The run is not fitted or trained already, or training cannot go on.
    """
    run.require()
    if run.is_trained and not overwrite:
        raise StitchError(f"{run.path} is trained already. Pass --overwrite to train it again from its fit.")
    config = run.read_config()
    network = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(choose_device(device))
    sampler = build_sampler(network.space, options.sampler, seed=seed)
    source, guard = open_for(network, data, "train"), None
    # Originals are copied from the network as it was fitted, before anything changes it.
    teacher = load_teacher(network, options.objective, trust_code=trust_code)
    with ExitStack() as logs:
        if options.guard.every:
            source, held_out = guard_images(network, source, data, options.guard)
            guard = AnchorGuard(held_out, options.guard, seed=seed, on_record=_log(logs, run.guarding_file))
        objective = build_objective(network, options, seed=seed, teacher=teacher, guard=guard)
        spec = network.input_spec
        batches, steps = training_batches(source, spec, options, seed=seed, workers=data.workers)
        if on_start:
            on_start(steps * options.epochs)
        # Under another name until it is done, so that an earlier training's log outlives a failure.
        write = _log(logs, run.training_file)

        def record(step: StepRecord) -> None:
            write(step)
            if on_step:
                on_step(step)

        try:
            summary = train(
                network,
                batches,
                sampler=sampler,
                steps_per_epoch=steps,
                options=options,
                objective=objective,
                guard=guard,
                on_step=record,
            )
        except AnchorDropError as error:
            network.save_pretrained(run.stopped)
            raise StitchError(f"{error} It is kept in {run.stopped}.") from error
    network.save_pretrained(run.network)
    run.training_file.replace(run.train_file)
    run.guard_file.unlink(missing_ok=True)
    shutil.rmtree(run.stopped, ignore_errors=True)
    if guard:
        run.guarding_file.replace(run.guard_file)
    run.train_summary_file.write_text(json.dumps(asdict(summary), indent=1) + "\n", encoding="utf-8")
    run.curve.unlink(missing_ok=True)  # it was another network's
    run.write_config(
        {**config, "data": {**config["data"], **asdict(data)}, "train": asdict(options), "seed": seed}
    )
    return summary


def _log(logs: ExitStack, path: Path) -> Callable[[StepRecord | GuardRecord], None]:
    """Open a file of JSON lines; what comes back writes one."""
    file = logs.enter_context(path.open("w", encoding="utf-8", buffering=1))

    def write(record: StepRecord | GuardRecord) -> None:
        file.write(json.dumps(asdict(record)) + "\n")

    return write
