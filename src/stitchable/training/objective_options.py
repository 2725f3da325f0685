"""What to choose about the loss. Plain data; no torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import ClassVar

from stitchable.errors import StitchError

OF_TEACHER = ("hard_distillation", "soft_distillation")
TERMS = ("cross_entropy", *OF_TEACHER, "in_place_distillation", "feature_matching")


@dataclass(frozen=True)
class ObjectiveOptions:
    """The loss of a step: a weighted sum of terms, each the mean over the step's stitches and images.

    An anchor's *original* is a frozen copy of it from before joint training.

    Attributes:
        cross_entropy: Weight of the labels' cross-entropy, smoothed by ``train.label_smoothing``.
        hard_distillation: Weight of the cross-entropy with the class that the teacher gives most.
        soft_distillation: Weight of the divergence from the teacher's shares to the stitch's.
        in_place_distillation: Weight of the divergence from the shares of the dearest stitch of the step to
            those of the others. The dearest one learns from the labels here, so with one stitch per step
            this is the cross-entropy.
        feature_matching: Weight of the distance between a late feature of the stitch and that of its end
            anchor's original on the same images.
        teacher: Of hard and soft distillation: an anchor's name for its original, ``end_anchor`` for the
            original of each stitch's own end anchor, or another model as ``[name=]source[@weights]``.
            ``None`` means the original of the dearest anchor.
        temperature: Divides both logits of a divergence, which is multiplied by its square.
        match_cut: Where features are matched, counted from the end: -1 is what the end anchor's head takes,
            -2 what its last block takes. A stitch that enters its end anchor later is matched where it
            enters.
        mixup: Alpha of mixup; 0 does not mix. Pairs of images are mixed, and so are their labels.
        cutmix: Alpha of cutmix, likewise. With both, each batch is mixed in one way.
        mix_probability: Share of the batches that are mixed.
        cutmix_share: Share of these that are cut rather than blended, where both are on.
    """

    section: ClassVar[str] = "train.objective"

    cross_entropy: float = 1.0
    hard_distillation: float = 0.0
    soft_distillation: float = 0.0
    in_place_distillation: float = 0.0
    feature_matching: float = 0.0
    teacher: str | None = None
    temperature: float = 1.0
    match_cut: int = -1
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    cutmix_share: float = 0.5

    def __post_init__(self) -> None:
        rules = dict.fromkeys((*TERMS, "mixup", "cutmix"), (0.0, math.inf, "a finite number of at least 0"))
        rules |= dict.fromkeys(("mix_probability", "cutmix_share"), (0.0, 1.0, "a share in [0, 1]"))
        rules["match_cut"] = (-math.inf, -1.0, "-1 or below")
        for name, (low, high, allowed) in rules.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise StitchError(f"{self.section}.{name} must be {allowed}; got {value}.")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise StitchError(
                f"{self.section}.temperature must be positive and finite; got {self.temperature}."
            )
        if not any(self.weights.values()):
            raise StitchError(f"All weights of {self.section} are 0. Give one of {', '.join(TERMS)}.")
        if self.teacher is not None and not self.asks_teacher:
            raise StitchError(
                f"{self.section}.teacher is {self.teacher!r}, and no term asks it. Set soft_distillation or "
                "hard_distillation above 0, or leave the teacher out."
            )

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every term by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name in TERMS}

    @property
    def asks_teacher(self) -> bool:
        """Whether a term learns from the teacher."""
        return any(self.weights[name] for name in OF_TEACHER)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed."""
        return bool(self.mixup or self.cutmix) and self.mix_probability > 0
