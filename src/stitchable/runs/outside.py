"""What decides a training from outside its options: files and images that these only name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from stitchable.anchors.anchor import Anchor
from stitchable.data.image_source import ImageSource
from stitchable.training.checkpoint import digest_file
from stitchable.training.options import TrainOptions


def named_outside(
    options: TrainOptions, *, teacher: Anchor | None, held_out: ImageSource | None
) -> dict[str, Any]:
    """What a name stands for now, so that a training does not go on with something else of the same name.

    Args:
        options: They name the schedule.
        teacher: Where it is no anchor of the network.
        held_out: The held-out images, where the anchors' guard or the probe looks at any.

    Returns:
        Plain data by what it is of: digests of the schedule's text, the teacher's weights and the held-out
        images' labels.
    """
    found: dict[str, Any] = {}
    if options.sampler.kind == "schedule" and options.sampler.file:
        found["the text of train.sampler.file"] = digest_file(Path(options.sampler.file))[:12]
    if teacher:
        found["the weights of train.objective.teacher"] = digest_weights(teacher.model)
    if held_out:
        found["data.val"], found["held-out labels"] = held_out.name, held_out.digest
        found["train.checkpoint.probe_images"] = options.checkpoint.probe_images
    return found


def digest_weights(model: torch.nn.Module) -> str:
    """Twelve hex digits of a model's parameters and buffers, names included."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
