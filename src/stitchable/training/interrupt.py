"""Ctrl-C and SIGTERM as a wish that is granted between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Wish:
    """Whether a signal has asked to stop.

    Attributes:
        signal: Its number, such as 2 for Ctrl-C; ``None`` while there was none.
    """

    def __init__(self) -> None:
        self.signal: int | None = None


@contextmanager
def signals_as_wish() -> Iterator[Wish]:
    """Catch the first Ctrl-C or SIGTERM; a second one acts at once, as without us.

    Only a process's main thread can catch signals; in another one the wish is never told.
    """
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def caught(number: int, frame: FrameType | None) -> None:
        wish.signal = number
        put_back()

    for number in SIGNALS:
        signal.signal(number, caught)
    try:
        yield wish
    finally:
        put_back()
