"""Fine-tuning one model on new classes, epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from stitchable.errors import StitchError
from stitchable.training.objectives.distances import label_loss
from stitchable.training.objectives.losses import Losses
from stitchable.training.optim import build_schedule, make_optimizer, parameter_groups
from stitchable.training.options import FinetuneOptions
from stitchable.training.step import Batches, loss_scaler, memory_format, take_step, train_mode


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch of fine-tuning did.

    Attributes:
        epoch: Counted from 0.
        trained: ``"head"`` or ``"all"``.
        loss: Mean over the epoch's images of the cross-entropy in nats, smoothed labels included.
        lr: Learning rate of all but the head in the last step; 0 while only the head is trained.
        head_lr: Learning rate of the head in the last step.
        seconds: Since fine-tuning began.
    """

    epoch: int
    trained: str
    loss: float
    lr: float
    head_lr: float
    seconds: float


def finetune(
    model: nn.Module,
    batches: Batches,
    *,
    head: Collection[str],
    steps_per_epoch: int,
    options: FinetuneOptions | None = None,
    on_step: Callable[[float], None] | None = None,
) -> Iterator[EpochRecord]:
    """Train a model; a record comes after each epoch, so that the caller can measure and keep it.

    Args:
        model: From images ``(batch, channels, rows, columns)`` to logits ``(batch, classes)``. Trained in
            place; in eval mode whenever a record comes and afterwards.
        batches: Called with the epoch; gives normalised images and labels ``(batch,)``, int64.
        head: Names of the classifier's parameters, with a learning rate of their own.
        steps_per_epoch: Number of batches in an epoch; the schedule's length follows from it.
        options: See `FinetuneOptions`.
        on_step: Called with the loss after each step.

    Raises:
        StitchError: The loss is not finite (the step is not taken), or an epoch gave no batch.
    """
    options = options or FinetuneOptions()
    device, layout = next(model.parameters()).device, memory_format(options)
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    optimizer = build_finetune_optimizer(model, head, options)
    schedule = build_schedule(optimizer, options, steps=options.epochs * steps_per_epoch)
    scaler = loss_scaler(options, device)
    began, step = time.monotonic(), 0
    model.to(memory_format=layout)
    try:
        for epoch in range(options.epochs):
            head_only = epoch < options.head_epochs
            _set_trainable(model, [name for name in trainable if name in head or not head_only])
            if head_only:
                model.eval()
            else:
                train_mode(model, options)
            total, seen, rates = 0.0, 0, {"backbone": 0.0, "head": 0.0}
            for images, labels in batches(epoch):
                rates.update({group["name"]: group["lr"] for group in optimizer.param_groups})
                batch = images.to(device, memory_format=layout), labels.to(device)
                losses = take_step(
                    partial(_label_loss, model, smoothing=options.label_smoothing),
                    batch,
                    optimizer=optimizer,
                    options=options,
                    what="the model",
                    step=step,
                    scaler=scaler,
                )
                loss = losses.value
                schedule.step()
                step, total, seen = step + 1, total + loss * len(images), seen + len(images)
                if on_step:
                    on_step(loss)
            if not seen:
                raise StitchError("An epoch gave no batch. Give at least batch_size training images.")
            model.eval()
            trained, lr = ("head", 0.0) if head_only else ("all", rates["backbone"])
            seconds = round(time.monotonic() - began, 3)
            yield EpochRecord(epoch, trained, total / seen, lr, rates["head"], seconds)
    finally:
        optimizer.zero_grad(set_to_none=True)
        _set_trainable(model, trainable)
        model.eval().to(memory_format=torch.contiguous_format)


def _label_loss(model: nn.Module, images: Tensor, labels: Tensor, *, smoothing: float) -> Losses:
    return Losses(label_loss(model(images), labels, smoothing=smoothing))


def _set_trainable(model: nn.Module, names: Collection[str]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)


def build_finetune_optimizer(
    model: nn.Module, head: Collection[str], options: FinetuneOptions
) -> torch.optim.Optimizer:
    """AdamW or SGD with the groups ``backbone`` and ``head``, each with and without weight decay."""
    named = list(model.named_parameters())
    head_lr = options.lr if options.head_lr is None else options.head_lr
    decay = options.weight_decay
    rest = [parameter for name, parameter in named if name not in head]
    own = [parameter for name, parameter in named if name in head]
    groups = parameter_groups("backbone", rest, lr=options.lr, weight_decay=decay)
    return make_optimizer(groups + parameter_groups("head", own, lr=head_lr, weight_decay=decay), options)
