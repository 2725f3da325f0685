"""One step of any training: forward, loss, backward, update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stitchable.errors import StitchError
from stitchable.training.objectives.losses import Losses, weighted
from stitchable.training.options import StepOptions

# Called with the epoch, or with the epoch and the batch to start at.
Batches = Callable[..., Iterable[tuple[Tensor, Tensor]]]
Clip = Callable[[list[Tensor], float], object]
_DTYPES = {"none": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def take_step(
    loss_of: Callable[[Tensor, Tensor], Losses],
    batch: tuple[Tensor, Tensor],
    *,
    optimizer: torch.optim.Optimizer,
    options: StepOptions,
    what: str,
    step: int,
    scaler: torch.amp.GradScaler | None = None,
    before_update: Callable[[Losses], None] | None = None,
    weight: float = 1.0,
    clip: Clip = torch.nn.utils.clip_grad_norm_,
) -> Losses:
    """One update.

    Args:
        loss_of: From images ``(batch, channels, rows, columns)`` and labels ``(batch,)``, int64, to their
            loss; called for each piece of the batch, under autocast where that is asked for.
        batch: Images and labels, where the parameters are.
        optimizer: Its parameters are changed, those without a gradient left alone.
        options: See `StepOptions`.
        what: What is trained, for the message of an error.
        step: Its number, likewise.
        scaler: What `loss_scaler` gave.
        before_update: Called with the losses as soon as the gradients are there; it may change these.
        weight: Of the gradients; the losses are told without it.
        clip: Scales the gradients of parameters, so that their norm is at most a number.

    Returns:
        The losses before the update, off the graph. Where nothing on the path is tuned, as for a frozen
        anchor alone, no update is made.

    Raises:
        StitchError: The loss is not finite, or memory does not suffice; the step is not taken.
    """
    optimizer.zero_grad(set_to_none=True)
    found: list[tuple[float, Losses]] = []
    with memory_advice(options, what=what, step=step):
        for share, images, labels in pieces(batch, options.accumulate):
            with autocast(options, images.device):
                losses = loss_of(images, labels)
            if not math.isfinite(losses.value):
                section = options.section
                raise StitchError(
                    f"The loss of {what} is {losses.value} at step {step}. Lower {section}.lr, or set "
                    f"{section}.clip_norm."
                )
            if losses.total.requires_grad:
                part = losses.total if share * weight == 1 else losses.total * (share * weight)
                torch.autograd.backward(part if scaler is None else scaler.scale(part))
            found.append((share, losses.detached()))
        together = weighted(found)
        if before_update:
            before_update(together)
        # A scaler refuses to step where there is no gradient at all, an optimiser does not.
        if scaler is None or any(each.grad is not None for each in _parameters(optimizer)):
            update(optimizer, options, scaler, clip=clip)
    return together


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def update(
    optimizer: torch.optim.Optimizer,
    options: StepOptions,
    scaler: torch.amp.GradScaler | None = None,
    *,
    clip: Clip = torch.nn.utils.clip_grad_norm_,
) -> None:
    """Clip the gradients that are there and let the optimiser step; what has none is left alone."""
    if scaler is not None:
        scaler.unscale_(optimizer)
    if options.clip_norm is not None:
        owned = [each for each in _parameters(optimizer) if each.grad is not None]
        clip(owned, options.clip_norm)
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)  # leaves the step out where a gradient overflowed, and lowers the scale
        scaler.update()


def pieces(batch: tuple[Tensor, Tensor], count: int) -> Iterator[tuple[float, Tensor, Tensor]]:
    """A batch in ``count`` pieces at most, each with its share of the images, which its mean loss weighs."""
    images, labels = batch
    count = min(count, len(labels))
    for some, theirs in zip(images.tensor_split(count), labels.tensor_split(count), strict=True):
        yield len(theirs) / len(labels), some, theirs


def autocast(options: StepOptions, device: torch.device) -> torch.autocast:
    """Context of a forward pass and its loss."""
    return torch.autocast(device.type, _DTYPES[options.autocast], enabled=options.autocast != "none")


def loss_scaler(options: StepOptions, device: torch.device) -> torch.amp.GradScaler | None:
    """What keeps gradients in the range of float16; ``None`` where they are not float16.

    Raises:
        StitchError: float16 is asked for on a device other than CUDA.
    """
    if options.autocast != "float16":
        return None
    if device.type != "cuda":
        raise StitchError(
            f"{options.section}.autocast float16 needs a CUDA device, for the scaling of the loss; training "
            f"is on {device.type}. Use bfloat16 or none."
        )
    return torch.amp.GradScaler(device.type)


@contextmanager
def memory_advice(options: StepOptions, *, what: str, step: int) -> Iterator[None]:
    """Say what to lower where memory does not suffice."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's allocator raises no other
        text = str(error).lower()
        if "out of memory" not in text and "can't allocate memory" not in text:
            raise
        section, pieces = options.section, 2 * options.accumulate
        activations = f", set {section}.checkpoint_activations" if section == "train" else ""
        raise StitchError(
            f"Out of memory at step {step}, training {what}. Set {section}.accumulate to {pieces} (the same "
            f"gradient from smaller pieces){activations}, or lower {section}.batch_size."
        ) from error


def memory_format(options: StepOptions) -> torch.memory_format:
    """How maps, and the weights of convolutions, lie in memory."""
    return torch.channels_last if options.channels_last else torch.contiguous_format


def train_mode(module: nn.Module, options: StepOptions) -> None:
    """Training mode; BatchNorm stays in eval mode where its statistics are frozen."""
    module.train()
    if options.batch_norm == "frozen":
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
