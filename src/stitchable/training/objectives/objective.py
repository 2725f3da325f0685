"""The weighted sum of terms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchable.data.mixing import Mixing
from stitchable.network import StitchedNetwork
from stitchable.stitch import Stitch
from stitchable.training.objectives.losses import Losses
from stitchable.training.objectives.students import run_students
from stitchable.training.objectives.teachers import Teachers
from stitchable.training.objectives.terms import Lesson, Term


@dataclass(frozen=True)
class WeightedTerm:
    """A term with its weight, which may differ from stitch to stitch; where it is 0, the term is not asked.

    Attributes:
        name: In `Losses.terms`.
        weight: At least 0.
        term: See `stitchable.training.objectives.terms`.
    """

    name: str
    weight: float | Callable[[Stitch], float]
    term: Term

    def weight_of(self, stitch: Stitch) -> float:
        """Weight for one stitch."""
        return self.weight(stitch) if callable(self.weight) else self.weight


class WeightedSum:
    """An objective: the mean over the step's stitches of a weighted sum of terms.

    Args:
        terms: At least one whose weight is never 0.
        teachers: Whom the terms ask.
        match_cut: Where features are matched; ``None`` where no term does.
        mixing: Mixes the images and labels of a step; ``None`` leaves them alone.
    """

    def __init__(
        self,
        terms: Iterable[WeightedTerm],
        *,
        teachers: Teachers | None = None,
        match_cut: int | None = None,
        mixing: Mixing | None = None,
    ) -> None:
        self.terms = list(terms)
        self.teachers = teachers or Teachers({})
        self.match_cut, self.mixing = match_cut, mixing

    def __call__(
        self,
        network: StitchedNetwork,
        stitches: Sequence[Stitch],
        images: Tensor,
        labels: Tensor,
        *,
        step: int,
    ) -> Losses:
        """See `Objective`."""
        targets = labels
        if self.mixing is not None:
            images, targets = self.mixing(images, labels, step=step)
        stitches = list(dict.fromkeys(stitches))
        outputs = run_students(network, images, stitches, match_cut=self.match_cut)
        dearest = max(stitches, key=lambda stitch: network.cost(stitch).macs)
        lesson = Lesson(network, targets, outputs, self.teachers.on(images), dearest)
        found: dict[str, list[Tensor]] = {}
        sums = []
        for stitch in stitches:
            parts = []
            for each in self.terms:
                weight = each.weight_of(stitch)
                if weight:
                    value = each.term(lesson, stitch)
                    found.setdefault(each.name, []).append(value.detach())
                    parts.append(weight * value)
            sums.append(torch.stack(parts).sum() if len(parts) > 1 else parts[0])
        total = torch.stack(sums).mean() if len(sums) > 1 else sums[0]
        means = [torch.stack(values).mean() for values in found.values()]
        numbers = torch.stack([*(each.detach() for each in sums), *means]).tolist()  # one wait for the device
        per_stitch = dict(zip(stitches, numbers, strict=False))
        return Losses(total, per_stitch, dict(zip(found, numbers[len(stitches) :], strict=True)))
