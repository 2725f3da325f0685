"""The step before a run: one pretrained model is fitted to the user's own classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.classes import classifier_parameters, input_for, with_classes
from stitchable.anchors.load import load_anchor
from stitchable.anchors.store import save_anchor
from stitchable.data.loader import image_loader
from stitchable.device import choose_device
from stitchable.errors import StitchError
from stitchable.evaluation.answers import Tally
from stitchable.evaluation.module import tally_module
from stitchable.evaluation.statistics import wilson_interval
from stitchable.runs.config import DataConfig, InputConfig
from stitchable.runs.images import open_for, open_split, training_batches
from stitchable.training.finetune import EpochRecord, finetune
from stitchable.training.options import FinetuneOptions

LOG, CONFIG = "finetune.jsonl", "finetune.yaml"


@dataclass(frozen=True)
class MeasuredEpoch(EpochRecord):
    """An epoch and what the model got right after it; a line of ``finetune.jsonl``.

    Attributes:
        top1: Of the held-out images, in percent.
        top1_low: Lower end of its 95 % interval.
        top1_high: Upper end.
        val_loss: Mean cross-entropy of the held-out images in nats.
        images: Number of held-out images.
        best: Whether its weights are better than those of all epochs before, and were written.
    """

    top1: float
    top1_low: float
    top1_high: float
    val_loss: float
    images: int
    best: bool


def finetune_anchor(
    model: str,
    out: Path,
    *,
    data: DataConfig,
    images: InputConfig | None = None,
    options: FinetuneOptions | None = None,
    seed: int = 0,
    device: str = "auto",
    trust_code: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_step: Callable[[float], None] | None = None,
    on_epoch: Callable[[MeasuredEpoch], None] | None = None,
) -> list[MeasuredEpoch]:
    """Give a model a classifier for the classes of the training images and train it.

    Nothing is written before the first epoch is measured. From then on ``out`` holds the best weights
    so far as an anchor that `load_anchor` reads, the log and the configuration, whatever happens next.

    Args:
        model: See `load_anchor`; weights must be named.
        out: A new or empty folder: the anchor, ``finetune.jsonl`` and ``finetune.yaml``.
        data: ``train`` to train on, ``val`` to choose the epoch by.
        images: Size and normalisation; the model's own where left out.
        options: See `FinetuneOptions`.
        seed: Of the classifier, the order of the images and their augmentation.
        device: See `choose_device`.
        trust_code: Allow a saved anchor's own architecture file to run.
        on_start: Called with the number of steps.
        on_step: Called with the loss after each step.
        on_epoch: Called after each epoch.

    Raises:
        StitchError: The folder is in use, the model or the images are not as they should be, or training
            cannot go on.
    """
    images, options = images or InputConfig(), options or FinetuneOptions()
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise StitchError(f"{out} is not empty. Name a new folder for the anchor.")
    where = choose_device(device)
    anchor = _prepare(model, data, images, seed=seed, trust_code=trust_code)
    train, val = open_for(anchor, data, "train"), open_for(anchor, data, "val")
    batches, steps = training_batches(train, anchor.input_spec, options, seed=seed, workers=data.workers)
    if on_start:
        on_start(steps * options.epochs)
    config = {"data": asdict(data), **asdict(images), **asdict(options), "seed": seed, "device": device}
    anchor.to(where)
    trained = finetune(
        anchor.model,
        batches,
        head=classifier_parameters(anchor),
        steps_per_epoch=steps,
        options=options,
        on_step=on_step,
    )
    epochs: list[MeasuredEpoch] = []
    for record in trained:
        held_out = image_loader(
            val, anchor.input_spec, batch_size=min(options.batch_size, len(val)), workers=data.workers
        )
        epochs.append(_measured(record, tally_module(anchor.model, held_out), epochs))
        _write(out, anchor, epochs, f"# {model}\n{yaml.safe_dump(config, sort_keys=False)}")
        if on_epoch:
            on_epoch(epochs[-1])
    return epochs


def best_of(epochs: list[MeasuredEpoch]) -> MeasuredEpoch:
    """The epoch whose weights were kept: the last one that was better than all before it."""
    return [epoch for epoch in epochs if epoch.best][-1]


def _prepare(model: str, data: DataConfig, images: InputConfig, *, seed: int, trust_code: bool) -> Anchor:
    """The model with a classifier for the classes of the training images."""
    source = open_split(data, "train")
    count = source.class_count
    if count is None:
        raise StitchError(
            f"{source.name} is a stream that does not name its classes, so no classifier can be made for "
            "them. Give images in folders or parquet files."
        )
    classes = source.classes or [str(label) for label in range(count)]
    if len(classes) < 2:
        raise StitchError(f"{source.name} holds one class. Give a folder with two classes or more.")
    anchor = load_anchor(model, need_weights=True, trust_code=trust_code)
    return with_classes(anchor, classes, input_spec=input_for(anchor, **asdict(images)), seed=seed)


def _measured(record: EpochRecord, found: Tally, before: list[MeasuredEpoch]) -> MeasuredEpoch:
    low, high = wilson_interval(found.correct, found.images)
    top1, loss = 100 * found.correct / found.images, found.loss / found.images
    return MeasuredEpoch(
        **asdict(record),
        top1=top1,
        top1_low=low,
        top1_high=high,
        val_loss=loss,
        images=found.images,
        best=all((top1, -loss) > (epoch.top1, -epoch.val_loss) for epoch in before),
    )


def _write(out: Path, anchor: Anchor, epochs: list[MeasuredEpoch], config: str) -> None:
    """Write the last epoch: its line, its weights where they are the best, the configuration once."""
    if epochs[-1].best:
        save_anchor(anchor, out)
    if len(epochs) == 1:
        (out / CONFIG).write_text(config, encoding="utf-8")
    with (out / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(epochs[-1])) + "\n")
