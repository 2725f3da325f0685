"""How a zoo is cut and what may be made of its parts, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from stitchable.errors import check_choices
from stitchable.reassembly.even_cuts import Size
from stitchable.reassembly.slots import Order, Positions


@dataclass(frozen=True)
class ZooOptions:
    """Arguments of `partition_zoo` and `reassembly_space`.

    Attributes:
        parts: Parts of each anchor, and number of equivalence sets, K.
        epsilon: By how much of an even share a part's size may differ from it.
        size: What is shared evenly, see `partition_zoo`.
        restarts: How many random partitions are made better.
        seed: Of the partition's draws.
        order: ``"cnn_first"``: no part of a CNN behind one of a transformer; ``"any"``: any order.
        positions: ``"own"``: the k-th parts at place k; ``"sets"``: the parts of the k-th set.
    """

    parts: int = 4
    epsilon: float = 0.2
    size: Size = "macs"
    restarts: int = 50
    seed: int = 0
    order: Order = "cnn_first"
    positions: Positions = "own"

    def __post_init__(self) -> None:
        check_choices(self, "zoo")
