"""How a zoo is cut, what may be made of its parts, and by which score: as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from stitchable.errors import StitchError, check_choices
from stitchable.reassembly.parts import Size
from stitchable.reassembly.slots import Order, Positions
from stitchable.similarity.pair import Measure
from stitchable.similarity.rows import Rows, check_measures
from stitchable.units import parse_count

ScoreName = Literal["additive", "similarity", "naswot", "synflow", "snip", "grad_norm", "jacov"]

_AT_LEAST_ONE = ("restarts", "evaluations", "top", "shortlist", "probe_images")


@dataclass(frozen=True)
class ReassemblyConfig:
    """How new networks are made of the parts of a zoo.

    Attributes:
        parts: Parts of each anchor, and number of equivalence sets, K.
        epsilon: By how much of an even share a part's size may differ from it.
        size: What is shared evenly: the ``macs`` of an anchor's blocks, their ``params``, or ``blocks``.
        restarts: How many random partitions are made better.
        order: ``"cnn_first"``: no part of a CNN behind one of a transformer; ``"any"``: any order.
        positions: ``"own"``: the k-th parts at place k; ``"sets"``: the parts of the k-th set.
        measure: How alike two cuts are.
        rows: What counts as a row: ``pooled``, an image; ``pixels``, a position; ``flattened``, an image with
            all its positions.
        images: Training images that similarities are measured on.
        score: What the shortlist is chosen by. ``additive``: the mean top-1 of the blocks' anchors, less what
            the joints lose; ``similarity``: that of the joints alone; both solved to optimality.
            ``naswot``, ``synflow``, ``snip``, ``grad_norm`` or ``jacov``: training-free scores, searched by.
        joint_loss: Points of top-1 that ``additive`` takes off for a joint of similarity 0 instead of 1.
        evaluations: How many networks a training-free score is asked for at most.
        params: Most params, such as ``12M``.
        macs: Most MACs for one image, such as ``2G``.
        top: How many networks are shown.
        shortlist: How many are joined and measured; ``None`` takes three times ``top``.
        probe_images: Held-out images that the shortlist is measured on.
    """

    parts: int = 4
    epsilon: float = 0.2
    size: Size = "macs"
    restarts: int = 200
    order: Order = "cnn_first"
    positions: Positions = "own"
    measure: Measure = "cka"
    rows: Rows = "pooled"
    images: int = 2000
    score: ScoreName = "additive"
    joint_loss: float = 100.0
    evaluations: int = 200
    params: str | int | None = None
    macs: str | int | None = None
    top: int = 10
    shortlist: int | None = None
    probe_images: int = 1000

    def __post_init__(self) -> None:
        check_choices(self, "reassembly")
        check_measures([self.measure], self.rows)
        counts = {"parts": 2, "images": 4, **dict.fromkeys(_AT_LEAST_ONE, 1)}
        for name, least in counts.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise StitchError(f"reassembly.{name} must be at least {least}; got {value}.")
        for name in ("epsilon", "joint_loss"):
            if not 0 <= getattr(self, name) < math.inf:
                raise StitchError(f"reassembly.{name} is 0 or more; got {getattr(self, name)}.")
        if self.shortlist is not None and self.shortlist < self.top:
            raise StitchError(
                f"A shortlist of {self.shortlist} has no {self.top} to show. Raise it, or lower top."
            )
        for bound, unit in ((self.params, "params"), (self.macs, "MACs")):
            _bound(bound, unit)

    @property
    def most_params(self) -> int | None:
        """The bound on params as a number."""
        return _bound(self.params, "params")

    @property
    def most_macs(self) -> int | None:
        """The bound on MACs as a number."""
        return _bound(self.macs, "MACs")

    @property
    def wanted(self) -> int:
        """Length of the shortlist."""
        return self.shortlist or 3 * self.top


def _bound(value: str | int | None, unit: str) -> int | None:
    return None if value is None else parse_count(str(value), unit)
