"""What to choose about training. Plain data; no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stitchable.data.augment import Augment
from stitchable.errors import StitchError, check_choices


@dataclass(frozen=True)
class TrainOptions:
    """Algorithm 1: one stitch per step, drawn uniformly.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step.
        optimizer: ``"adamw"``, or ``"sgd"`` with Nesterov momentum 0.9.
        lr: Peak learning rate of the anchors.
        layer_lr: Peak learning rate of the stitching layers; ``None`` means ``lr``.
        weight_decay: On weights, not on biases, norms and other vectors.
        warmup: Share of the steps over which the learning rate rises linearly.
        lr_floor: Last learning rate of the cosine, as a share of the peak.
        label_smoothing: Of the cross-entropy.
        clip_norm: Largest norm of the gradient; ``None`` does not clip.
        batch_norm: ``"frozen"`` keeps the anchors' BatchNorm statistics, ``"running"`` updates them with
            every stitch, as the released code does.
        autocast: ``"none"`` or ``"bfloat16"`` for the forward pass.
        augment: See `stitchable.data.transforms`.
    """

    epochs: int = 3
    batch_size: int = 128
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 1e-4
    layer_lr: float | None = None
    weight_decay: float = 0.05
    warmup: float = 0.1
    lr_floor: float = 0.0
    label_smoothing: float = 0.1
    clip_norm: float | None = None
    batch_norm: Literal["frozen", "running"] = "frozen"
    autocast: Literal["none", "bfloat16"] = "none"
    augment: Augment = "flip"

    def __post_init__(self) -> None:
        check_choices(self, "train")
        rules = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "lr": (self.lr >= 0, "at least 0"),
            "layer_lr": (self.layer_lr is None or self.layer_lr >= 0, "at least 0"),
            "weight_decay": (self.weight_decay >= 0, "at least 0"),
            "warmup": (0 <= self.warmup < 1, "a share of the steps in [0, 1)"),
            "lr_floor": (0 <= self.lr_floor <= 1, "a share of the peak in [0, 1]"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "in [0, 1)"),
            "clip_norm": (self.clip_norm is None or self.clip_norm > 0, "positive, or null"),
        }
        for name, (fine, allowed) in rules.items():
            if not fine:
                raise StitchError(f"train.{name} must be {allowed}; got {getattr(self, name)}.")
