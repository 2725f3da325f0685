"""A stitch as a plain value: which blocks of which anchors run, in order.

Nothing here knows about tensors. A stitch is written ``deit_tiny[0:5]+deit_small[5:12]``: run the stem
and blocks 0 to 4 of ``deit_tiny``, cross a stitching layer, run blocks 5 to 11 of ``deit_small`` and its
head. Ranges are half-open, as in Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from stitchable.errors import StitchError

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_SEGMENT = re.compile(rf"({_NAME})\[(\d+):(\d+)\]")


def check_anchor_name(name: str) -> str:
    """Return ``name`` if it can stand in a stitch's text id.

    Raises:
        StitchError: The name has other characters than letters, digits, ``_`` and ``-``.
    """
    if not re.fullmatch(_NAME, name):
        raise StitchError(
            f"Anchor name {name!r} cannot stand in a stitch id. Use letters, digits, '_' and '-', "
            f"for example {re.sub('[^A-Za-z0-9_-]+', '_', name).strip('_-') or 'anchor'!r}."
        )
    return name


@dataclass(frozen=True, order=True)
class Segment:
    """Blocks ``start`` to ``stop - 1`` of the anchor called ``anchor``."""

    anchor: str
    start: int
    stop: int

    def __post_init__(self) -> None:
        check_anchor_name(self.anchor)
        if not 0 <= self.start < self.stop:
            raise StitchError(
                f"Segment {self} runs no block. Its range is half-open and must hold at least one block."
            )

    def __str__(self) -> str:
        return f"{self.anchor}[{self.start}:{self.stop}]"

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, order=True)
class Stitch:
    """A path through one or more anchors.

    The first segment starts at block 0 behind its anchor's stem; the last one runs to its anchor's last
    block and head. An anchor alone is the stitch with one segment. Whether the joints between the
    segments exist is a question for a `StitchingSpace`.

    Example:
        >>> stitch = Stitch.parse("deit_tiny[0:5]+deit_small[5:12]")
        >>> stitch.segments[1]
        Segment(anchor='deit_small', start=5, stop=12)
        >>> str(stitch)
        'deit_tiny[0:5]+deit_small[5:12]'
        >>> stitch.depth, stitch.anchors
        (12, ('deit_tiny', 'deit_small'))
    """

    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        if not self.segments:
            raise StitchError("A stitch needs at least one segment, such as 'resnet20[0:9]'.")
        if self.segments[0].start != 0:
            raise StitchError(
                f"Stitch {self} starts at block {self.segments[0].start}. "
                "The first segment starts at block 0, behind the stem."
            )
        for front, end in pairwise(self.segments):
            if front.anchor == end.anchor:
                raise StitchError(f"Stitch {self} joins {front.anchor} to itself. Join different anchors.")

    @classmethod
    def parse(cls, text: str) -> Stitch:
        """Read the text id that ``str`` writes.

        Raises:
            StitchError: The text is not of the form ``name[a:b]+name[c:d]…``.
        """
        segments = []
        for part in text.strip().split("+"):
            match = _SEGMENT.fullmatch(part.strip())
            if match is None:
                raise StitchError(
                    f"Stitch id {text!r} does not read: {part.strip()!r} is not name[start:stop]. "
                    "Write it like 'deit_tiny[0:5]+deit_small[5:12]'."
                )
            segments.append(Segment(match[1], int(match[2]), int(match[3])))
        return cls(tuple(segments))

    def __str__(self) -> str:
        return "+".join(str(segment) for segment in self.segments)

    @property
    def depth(self) -> int:
        """Number of blocks that run."""
        return sum(len(segment) for segment in self.segments)

    @property
    def anchors(self) -> tuple[str, ...]:
        """Names of the anchors passed, in order."""
        return tuple(segment.anchor for segment in self.segments)

    @property
    def joints(self) -> tuple[tuple[Segment, Segment], ...]:
        """Neighbouring segments; a stitching layer stands between each two."""
        return tuple(pairwise(self.segments))
