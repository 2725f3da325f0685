"""What an objective gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from stitchable.network import StitchedNetwork
from stitchable.stitch import Stitch


@dataclass(frozen=True)
class Losses:
    """The loss of one step.

    Attributes:
        total: Scalar; what is minimised.
        per_stitch: The part of each stitch, of which ``total`` is the mean.
        terms: Mean over the stitches of each term, not weighted.
    """

    total: Tensor
    per_stitch: Mapping[Stitch, float] = field(default_factory=dict)
    terms: Mapping[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The total as a number."""
        return float(self.total.detach())

    def detached(self) -> Losses:
        """The same, off the graph."""
        return replace(self, total=self.total.detach())


def weighted(parts: Sequence[tuple[float, Losses]]) -> Losses:
    """Losses of a batch from those of its pieces, each with its share of the images."""
    if len(parts) == 1:
        return parts[0][1]
    total = torch.stack([share * losses.total for share, losses in parts]).sum()
    first = parts[0][1]
    return Losses(
        total,
        {key: sum(share * each.per_stitch[key] for share, each in parts) for key in first.per_stitch},
        {key: sum(share * each.terms[key] for share, each in parts) for key in first.terms},
    )


class Objective(Protocol):
    """Anything that gives the loss of a step; the same for the same arguments."""

    def __call__(
        self,
        network: StitchedNetwork,
        stitches: Sequence[Stitch],
        images: Tensor,
        labels: Tensor,
        *,
        step: int,
    ) -> Losses:
        """Loss of some stitches on a batch.

        Args:
            network: Autograd follows its parameters.
            stitches: One or more.
            images: Normalised, ``(batch, channels, rows, columns)``; not changed.
            labels: ``(batch,)``, int64.
            step: Its number, which decides all that is random.
        """
