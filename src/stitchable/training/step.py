"""One step of any training: forward, loss, backward, update."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stitchable.errors import StitchError
from stitchable.training.options import StepOptions

Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]


def take_step(
    forward: Callable[[Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    *,
    optimizer: torch.optim.Optimizer,
    options: StepOptions,
    what: str,
    step: int,
) -> float:
    """One update by the smoothed cross-entropy of a batch.

    Args:
        forward: From images ``(batch, channels, rows, columns)`` to logits ``(batch, classes)``.
        batch: Images and labels ``(batch,)``, int64, where the parameters are.
        optimizer: Its parameters are changed, those without a gradient left alone.
        options: See `StepOptions`.
        what: What is trained, for the message of an error.
        step: Its number, likewise.

    Returns:
        The loss in nats, before the update.

    Raises:
        StitchError: The loss is not finite; the step is not taken.
    """
    images, labels = batch
    with torch.autocast(images.device.type, torch.bfloat16, enabled=options.autocast == "bfloat16"):
        loss = F.cross_entropy(forward(images), labels, label_smoothing=options.label_smoothing)
    value = float(loss.detach())
    if not torch.isfinite(loss.detach()):
        section = options.section
        raise StitchError(
            f"The loss of {what} is {value} at step {step}. Lower {section}.lr, or set {section}.clip_norm."
        )
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    if options.clip_norm is not None:
        owned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_([each for each in owned if each.grad is not None], options.clip_norm)
    optimizer.step()
    return value


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
