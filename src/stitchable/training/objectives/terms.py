"""The terms of an objective: what one stitch may learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from stitchable.network import StitchedNetwork
from stitchable.stitch import Stitch
from stitchable.training.objectives.distances import divergence, feature_distance, label_loss
from stitchable.training.objectives.students import Output
from stitchable.training.objectives.teachers import Taught

END_ANCHOR = "end_anchor"


@dataclass(frozen=True)
class Lesson:
    """What the terms of one step may read.

    Attributes:
        network: Its space knows costs and feature specs.
        targets: Labels ``(batch,)``, int64, or shares ``(batch, classes)`` where images are mixed.
        outputs: What every stitch of the step gave.
        taught: What the teachers say to the same images.
        dearest: The stitch of the step with the most MACs.
    """

    network: StitchedNetwork
    targets: Tensor
    outputs: Mapping[Stitch, Output]
    taught: Taught
    dearest: Stitch


class Term(Protocol):
    """A loss of one stitch: a scalar that does not depend on the weights of other terms."""

    def __call__(self, lesson: Lesson, stitch: Stitch) -> Tensor:
        """Loss of ``stitch``, the mean over the images."""


@dataclass(frozen=True)
class CrossEntropy:
    """The labels' cross-entropy; ``smoothing`` is for labels only, mixed targets bring their own."""

    smoothing: float = 0.0

    def __call__(self, lesson: Lesson, stitch: Stitch) -> Tensor:
        """In nats."""
        smoothing = 0.0 if lesson.targets.is_floating_point() else self.smoothing
        return label_loss(lesson.outputs[stitch].logits, lesson.targets, smoothing=smoothing)


@dataclass(frozen=True)
class HardDistillation:
    """Cross-entropy with the class that the teacher gives most.

    Source: Touvron et al. 2021 (DeiT), section 4; Pan et al. 2023 train with it.
    """

    teacher: str

    def __call__(self, lesson: Lesson, stitch: Stitch) -> Tensor:
        """In nats."""
        taught = lesson.taught.logits(_name(self.teacher, stitch))
        return label_loss(lesson.outputs[stitch].logits, taught.argmax(1))


@dataclass(frozen=True)
class SoftDistillation:
    """Divergence from the teacher's shares, see `divergence`."""

    teacher: str
    temperature: float = 1.0

    def __call__(self, lesson: Lesson, stitch: Stitch) -> Tensor:
        """In nats, times the squared temperature."""
        taught = lesson.taught.logits(_name(self.teacher, stitch))
        return divergence(lesson.outputs[stitch].logits, taught, temperature=self.temperature)


@dataclass(frozen=True)
class InPlaceDistillation:
    """Divergence from the dearest stitch of the step, which itself learns from the labels.

    Source: Yu and Huang 2019, section 3.2.
    """

    temperature: float = 1.0
    smoothing: float = 0.0

    def __call__(self, lesson: Lesson, stitch: Stitch) -> Tensor:
        """In nats, times the squared temperature; no gradient goes to the dearest stitch."""
        if stitch == lesson.dearest:
            return CrossEntropy(self.smoothing)(lesson, stitch)
        taught, logits = lesson.outputs[lesson.dearest].logits, lesson.outputs[stitch].logits
        return divergence(logits, taught, temperature=self.temperature)


class FeatureMatching:
    """Distance of the kept feature from that of the end anchor's original, see `feature_distance`."""

    def __call__(self, lesson: Lesson, stitch: Stitch) -> Tensor:
        """A share of the original feature's variance."""
        output, end = lesson.outputs[stitch], stitch.anchors[-1]
        assert output.feature is not None
        spec = lesson.network.space.outlines[end].features[output.cut]
        channels = 1 if spec.kind == "map" and not spec.channels_last else -1
        return feature_distance(output.feature, lesson.taught.feature(end, output.cut), channels=channels)


def _name(teacher: str, stitch: Stitch) -> str:
    return stitch.anchors[-1] if teacher == END_ANCHOR else teacher
