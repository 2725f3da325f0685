"""One step of any training: forward, loss, backward, update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from stitchable.errors import StitchError
from stitchable.training.objectives.losses import Losses
from stitchable.training.options import StepOptions

Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]


def take_step(
    loss_of: Callable[[], Losses],
    *,
    optimizer: torch.optim.Optimizer,
    options: StepOptions,
    what: str,
    step: int,
) -> Losses:
    """One update.

    Args:
        loss_of: Gives the loss of the step; called once, under autocast where that is asked for.
        optimizer: Its parameters are changed, those without a gradient left alone.
        options: See `StepOptions`.
        what: What is trained, for the message of an error.
        step: Its number, likewise.

    Returns:
        The losses before the update, off the graph. Where nothing on the path is tuned, as for a frozen
        anchor alone, no update is made.

    Raises:
        StitchError: The loss is not finite; the step is not taken.
    """
    owned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    with torch.autocast(owned[0].device.type, torch.bfloat16, enabled=options.autocast == "bfloat16"):
        losses = loss_of()
    total = losses.total
    if not math.isfinite(losses.value):
        section = options.section
        raise StitchError(
            f"The loss of {what} is {losses.value} at step {step}. Lower {section}.lr, or set "
            f"{section}.clip_norm."
        )
    optimizer.zero_grad(set_to_none=True)
    if total.requires_grad:
        torch.autograd.backward(total)
    if options.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_([each for each in owned if each.grad is not None], options.clip_norm)
    optimizer.step()
    return replace(losses, total=total.detach())


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
