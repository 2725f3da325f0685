"""What a command says at its end about images that it skipped."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def naming_skipped_images() -> Iterator[None]:
    """Collect what the readers of images warn of, and print it in the end, however that comes about."""
    log, collected = logging.getLogger("stitchable.data"), _Collected()
    log.addHandler(collected)
    try:
        yield
    finally:
        log.removeHandler(collected)
        lines = list(dict.fromkeys(collected.lines))  # a source opened twice meets the same images
        if lines:
            print("\n".join(lines))
