"""Fixtures for every test: where the real data lies, if it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data sets and weights: $STITCHABLE_DATA, or shared/data beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("STITCHABLE_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set STITCHABLE_DATA to its folder")
    return folder
