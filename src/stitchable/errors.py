"""The one family of errors that the library raises on purpose."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, Literal, get_args, get_origin, get_type_hints


class StitchError(Exception):
    """A mistake that the caller can mend.

    The message is one or two sentences: what was got, what is allowed, what to do. The command line
    prints it alone, without a trace.
    """


class SharedError(StitchError):
    """A mistake that all processes of a job know of, whichever made it.

    Args:
        message: As that of any `StitchError`.
        told: Whether another process tells it to the user.
    """

    def __init__(self, message: str, *, told: bool) -> None:
        super().__init__(message)
        self.told = told


class Interrupted(KeyboardInterrupt):
    """A signal asked to stop, and what was being done has put its state away.

    Args:
        message: What is kept and how to go on, for the user; empty where another process tells.
        signal: Number of the signal, such as 2 for Ctrl-C; the process is to exit with 128 more.
    """

    def __init__(self, message: str, *, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


def nearest(got: str, allowed: Iterable[str], *, limit: int = 3) -> str:
    """Sentence that names the allowed words most like ``got``.

    Args:
        got: The word that was not understood.
        allowed: The words that would have been.
        limit: How many to name at most.

    Returns:
        ``"Nearest: a, b."``; with nothing similar, the first few of ``allowed``; the empty string
        where nothing is allowed.

    Example:
        >>> nearest("deit_tinny", ["deit_tiny", "deit_small", "resnet18"], limit=1)
        'Nearest: deit_tiny.'
        >>> nearest("zzz", ["uniform", "sandwich"])
        'Allowed: uniform, sandwich.'
    """
    words = list(allowed)
    close = difflib.get_close_matches(got, words, n=limit, cutoff=0.5)
    if close:
        return f"Nearest: {', '.join(close)}."
    if not words:
        return ""
    shown = ", ".join(words[:12])
    return f"Allowed: {shown}{', …' if len(words) > 12 else ''}."


def check_choices(options: Any, section: str) -> None:
    """Make sure that every field of a dataclass that is typed as ``Literal`` holds one of its words.

    Args:
        options: An instance of a dataclass.
        section: What its fields are called by in configurations, such as ``"train"``.

    Raises:
        StitchError: A field holds another word; the nearest allowed ones are named.
    """
    for name, kind in get_type_hints(type(options)).items():
        got = getattr(options, name)
        if get_origin(kind) is Literal and got not in get_args(kind):
            raise StitchError(f"Unknown {section}.{name} {got!r}. {nearest(str(got), get_args(kind))}")


@contextmanager
def writing(path: str | PathLike[str]) -> Iterator[None]:
    """Name the file that could not be written: a full disk, a folder that is read-only.

    Raises:
        StitchError: The operating system refused, also where safetensors tells of it.

    Example:
        >>> with writing("curve.jsonl"):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        ...
        stitchable.errors.StitchError: curve.jsonl cannot be written: No space left on device. Make room ...
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        elif type(error).__name__ == "SafetensorError":  # by name: this module imports nothing heavy
            reason = str(error).removeprefix("Error while serializing: ")
        else:
            raise
        raise StitchError(
            f"{path} cannot be written: {reason}. Make room on the disk, or make its folder writable."
        ) from error
