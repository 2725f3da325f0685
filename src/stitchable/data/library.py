"""What readers by way of Hugging Face's ``datasets`` share: its import, its cache, its silence."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stitchable.errors import StitchError


def import_datasets(name: str) -> Any:
    """The package ``datasets``.

    Args:
        name: What is to be read.

    Raises:
        StitchError: It is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise StitchError(
            f"Reading {name} needs the package datasets. Run: pip install 'stitchable[parquet]'"
        ) from error
    return datasets


@contextmanager
def reading(name: str, kind: str) -> Iterator[None]:
    """Turn what Arrow, tar files, fsspec, the hub and ``datasets`` raise into a `StitchError`.

    Args:
        name: What is read.
        kind: What it is read as.
    """
    try:
        yield
    except StitchError:
        raise
    except Exception as error:  # each library has its own
        cause = error.__cause__ or error
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise StitchError(
            f"{name} does not read as {kind} ({reason}). Write it again or fetch it anew."
        ) from error


@functools.cache
def scratch() -> str:
    """A folder for this process, for the lock files that ``datasets`` writes before it reads a stream."""
    folder = tempfile.mkdtemp(prefix="stitchable-datasets-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def writable(folder: Path) -> bool:
    """Whether a folder can be written, or made."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK)


@contextmanager
def quiet(datasets: Any) -> Iterator[None]:
    """No progress bars."""
    shown = not datasets.are_progress_bars_disabled()
    if shown:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
