"""The second step of a run: joint training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from stitchable.device import choose_device
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for, training_batches
from stitchable.training.loop import StepRecord, TrainSummary, train
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

    Args:
        run: A run that was fitted.
        data: Its ``train`` images are used.
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
    source = open_for(network, data, "train")
    batches, steps = training_batches(source, network.input_spec, options, seed=seed, workers=data.workers)
    if on_start:
        on_start(steps * options.epochs)

    # Under another name until it is done, so that an earlier training's log outlives a failure.
    with run.training_file.open("w", encoding="utf-8", buffering=1) as log:

        def record(step: StepRecord) -> None:
            log.write(json.dumps(asdict(step)) + "\n")
            if on_step:
                on_step(step)

        summary = train(
            network,
            batches,
            sampler=sampler,
            steps_per_epoch=steps,
            options=options,
            on_step=record,
        )
    network.save_pretrained(run.network)
    run.training_file.replace(run.train_file)
    run.train_summary_file.write_text(json.dumps(asdict(summary), indent=1) + "\n", encoding="utf-8")
    run.curve.unlink(missing_ok=True)  # it was another network's
    run.write_config(
        {**config, "data": {**config["data"], **asdict(data)}, "train": asdict(options), "seed": seed}
    )
    return summary
