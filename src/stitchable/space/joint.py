"""A joint: the edge of the graph that crosses from one anchor to another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Joint:
    """From cut ``leave`` of the front anchor to cut ``enter`` of the end anchor.

    In the papers' notation of a pair (j, k), ``leave = j + 1`` and ``enter = k``: the front's blocks up
    to j have run, the end anchor's block k runs next.

    Attributes:
        front: Name of the anchor that is left.
        leave: Its cut.
        end: Name of the anchor that is entered.
        enter: Its cut.
        layer: Id of the stitching layer, shared by the joints that carry the same one.
    """

    front: str
    leave: int
    end: str
    enter: int
    layer: str

    def __str__(self) -> str:
        return f"{self.front}@{self.leave}>{self.end}@{self.enter}"
