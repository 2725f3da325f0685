"""Images that do not read: what they are called, and how many may be left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from stitchable.errors import StitchError

LOG = logging.getLogger("stitchable.data")
_NAMED = 20


class CorruptImageError(StitchError):
    """One image that does not read.

    Args:
        where: Its file or row.
        reason: What is wrong with it.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)  # its arguments, so that it survives the way from a worker
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return (
            f"{self.where} does not read as an image ({self.reason}). "
            "Remove it or replace it by a whole copy."
        )


class Skipped:
    """The images of a source that did not read, each counted once however often it is met.

    Each is named in a warning of the logger ``stitchable.data`` when it is met first.

    Args:
        limit: How many may be skipped; 0 refuses the first.

    Attributes:
        limit: Likewise.
        reasons: What is wrong with each, by its file or row.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.reasons: dict[str, str] = {}

    def add(self, found: Iterable[CorruptImageError]) -> None:
        """Count images that did not read.

        Raises:
            StitchError: They are more than the limit, with those before; their names.
        """
        for image in found:
            if image.where in self.reasons:
                continue
            if not self.limit:
                raise image
            self.reasons[image.where] = image.reason
            if len(self.reasons) > self.limit:
                names = list(self.reasons)
                shown = "; ".join(names[:_NAMED]) + ("; …" if len(names) > _NAMED else "")
                raise StitchError(
                    f"{len(names)} images do not read, more than data.corrupt_limit {self.limit}: {shown}. "
                    "Replace them by whole copies, or raise the limit."
                )
            LOG.warning("skipped %s: %s", image.where, image.reason)
