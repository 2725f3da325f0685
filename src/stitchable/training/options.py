"""What to choose about training. Plain data; no torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from stitchable.data.augment import Augment
from stitchable.errors import StitchError, check_choices
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.engine_options import EngineOptions
from stitchable.training.guard_options import GuardOptions
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.samplers.options import SamplerOptions

Tune = Literal["all", "layers", "low_rank", "low_rank_layers", "norms", "biases", "all_norms"]
OWN: dict[str, Literal["norms", "biases"]] = {"norms": "norms", "biases": "biases", "all_norms": "norms"}
FROZEN = ("layers", "low_rank_layers", "norms", "biases")  # what leaves the anchors as they are
HIGHEST_LR = 1e30  # an optimiser's steps overflow float32 not far above


@dataclass(frozen=True)
class StepOptions:
    """What every training has in common: its length, its optimiser, its schedule and its images.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step, of all processes together.
        accumulate: Pieces that a batch is passed through in, one after the other; the gradient is that of the
            whole batch but for rounding (with ``batch_norm: running``, each piece has its own statistics).
        optimizer: ``"adamw"``, or ``"sgd"`` with Nesterov momentum 0.9.
        lr: Peak learning rate of the pretrained weights.
        weight_decay: On weights, not on biases, norms and other vectors.
        warmup: Share of the steps over which the learning rate rises linearly.
        lr_floor: Last learning rate of the cosine, as a share of the peak.
        label_smoothing: Of the cross-entropy.
        clip_norm: Largest norm of the gradient; ``None`` does not clip.
        batch_norm: ``"frozen"`` keeps the BatchNorm statistics, ``"running"`` updates them with every step.
        autocast: ``"none"`` or ``"bfloat16"`` for the forward pass, or ``"float16"`` with a scaled
            loss, on CUDA alone.
        channels_last: Lay maps out in memory channel by channel within each pixel: the same numbers but for
            rounding, and CNNs with depthwise convolutions train faster on CPUs.
        augment: See `stitchable.data.transforms`.
    """

    section: ClassVar[str] = "train"  # what the fields are called by in messages

    epochs: int = 3
    batch_size: int = 128
    accumulate: int = 1
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 1e-4
    weight_decay: float = 0.05
    warmup: float = 0.1
    lr_floor: float = 0.0
    label_smoothing: float = 0.1
    clip_norm: float | None = None
    batch_norm: Literal["frozen", "running"] = "frozen"
    autocast: Literal["none", "bfloat16", "float16"] = "none"
    channels_last: bool = False
    augment: Augment = "flip"

    def __post_init__(self) -> None:
        check_choices(self, self.section)
        for name, (fine, allowed) in self._rules().items():
            if not fine:
                raise StitchError(f"{self.section}.{name} must be {allowed}; got {getattr(self, name)}.")

    def _rules(self) -> dict[str, tuple[bool, str]]:
        """For each number whether it is in its range, and the range in words."""
        return {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "accumulate": (self.accumulate >= 1, "at least 1"),
            "lr": (0 <= self.lr <= HIGHEST_LR, f"from 0 to {HIGHEST_LR:g}"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "a finite number of at least 0"),
            "warmup": (0 <= self.warmup < 1, "a share of the steps in [0, 1)"),
            "lr_floor": (0 <= self.lr_floor <= 1, "a share of the peak in [0, 1]"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "in [0, 1)"),
            "clip_norm": (self.clip_norm is None or self.clip_norm > 0, "positive, or null"),
        }


@dataclass(frozen=True)
class TrainOptions(StepOptions, EngineOptions):
    """Algorithm 1, unless ``sampler`` says otherwise; ``lr`` is that of the anchors and of what joints own.

    ``batch_norm: running`` updates the statistics with every stitch, as the released code does.

    Attributes:
        layer_lr: Peak learning rate of the stitching layers; ``None`` means ``lr``.
        lr_multipliers: Factors of the learning rate of some parts, by name: ``small`` (an anchor),
            ``small.stem``, ``small.blocks``, ``small.blocks.3``, ``small.head``, ``layers``, ``behind`` (what
            joints have of their own); the longest name counts.
        tune: ``"all"``; ``"layers"`` leaves the anchors as they are, bit for bit; ``"low_rank"`` tunes the
            anchors, and of each stitching layer the bias and an update of low rank that is added to its
            fitted weight; ``"low_rank_layers"`` does that and leaves the anchors as they are. ``"norms"``
            leaves them too: it tunes the stitching layers and, for each joint, its own copies of weights and
            biases of the end anchor's norms, which are used behind that joint. ``"biases"`` copies biases
            instead, of norms and all else, the classifier too. A stitch costs what it did; the network holds
            one set per joint. A path over several joints runs with the set of the last one taken.
            ``"all_norms"`` tunes such norms and the anchors too.
        rank: Of such updates; a layer's smaller width where that is less.
        interpolation: Share of the way from their fitted weights to the trained ones at which the anchors lie
            that are saved, in (0, 1]; see `stitchable.training.saved_weights.SavedWeights`. Less than 1
            gives anchors back some of what training costs them. Stitching layers, and what joints own, stay
            as they were trained.
        sampler: Which stitches a step trains.
        objective: What is minimised.
        guard: How the anchors are watched.
        checkpoint: When the state is written, so that training can go on after an interruption.
    """

    layer_lr: float | None = None
    lr_multipliers: dict[str, float] = field(default_factory=dict)
    tune: Tune = "all"
    rank: int = 64
    interpolation: float = 1.0
    sampler: SamplerOptions = field(default_factory=SamplerOptions)
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    guard: GuardOptions = field(default_factory=GuardOptions)
    checkpoint: CheckpointOptions = field(default_factory=CheckpointOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.guard.limit is not None and self.tune in FROZEN:
            raise StitchError(
                f"train.guard.limit is {self.guard.limit}; with train.tune {self.tune} no anchor changes. "
                "Leave the limit out; train.guard.every alone measures."
            )

    def _rules(self) -> dict[str, tuple[bool, str]]:
        fine = self.layer_lr is None or 0 <= self.layer_lr <= HIGHEST_LR
        factors = all(math.isfinite(factor) and factor >= 0 for factor in self.lr_multipliers.values())
        paired = not self.objective.mixes or self.batch_size % (2 * self.accumulate) == 0
        even = "" if paired else ", and even in each of train.accumulate pieces, for mixup and cutmix"
        return {
            **super()._rules(),
            **self._engine_rules(),
            "batch_size": (
                self.batch_size >= 1 and paired,
                f"at least 1{even}",
            ),
            "layer_lr": (fine, f"from 0 to {HIGHEST_LR:g}, or null"),
            "lr_multipliers": (factors, "factors of at least 0"),
            "rank": (self.rank >= 1, "at least 1"),
            "interpolation": (0 < self.interpolation <= 1, "above 0, and 1 at most"),
        }


@dataclass(frozen=True)
class FinetuneOptions(StepOptions):
    """Fine-tuning of one anchor on a user's own classes; ``lr`` is that of all but the classifier.

    Attributes:
        head_lr: Peak learning rate of the classifier; ``None`` means ``lr``.
        head_epochs: In so many of the epochs, the first ones, only the classifier is trained.
    """

    section: ClassVar[str] = "finetune"

    epochs: int = 8
    batch_size: int = 32
    lr: float = 2e-4
    head_lr: float | None = 5e-3
    head_epochs: int = 1
    augment: Augment = "crop_flip"

    def _rules(self) -> dict[str, tuple[bool, str]]:
        return {
            **super()._rules(),
            "head_lr": (
                self.head_lr is None or 0 <= self.head_lr <= HIGHEST_LR,
                f"from 0 to {HIGHEST_LR:g}, or null",
            ),
            "head_epochs": (0 <= self.head_epochs <= self.epochs, f"0 to the {self.epochs} epochs"),
        }
