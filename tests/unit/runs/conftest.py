"""What every step of a run is asked with: a configuration, photos that break, quick training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig, FitConfig, RunConfig
from stitchable.training.options import TrainOptions


@pytest.fixture(scope="session")
def digits() -> DataConfig:
    """The digits, for fit and sweep."""
    return DataConfig(train="digits:train", val="digits:val")


@pytest.fixture
def config(digit_models: list[str], digits: DataConfig) -> RunConfig:
    """Two tiny anchors, fitted on 30 digits."""
    return RunConfig(anchors=digit_models, data=digits, fit=FitConfig(images=30))


@pytest.fixture(scope="session")
def quick() -> TrainOptions:
    """One epoch of five steps."""
    return TrainOptions(epochs=1, batch_size=200, augment="none")


@pytest.fixture(scope="session")
def same_weights() -> Callable[[Path, Path], bool]:
    """Whether two saved networks hold the same bits."""

    def compare(first: Path, second: Path) -> bool:
        ours, theirs = (StitchedNetwork.from_pretrained(folder).state_dict() for folder in (first, second))
        return all(torch.equal(ours[key], theirs[key]) for key in ours.keys() | theirs.keys())

    return compare


@pytest.fixture(scope="session")
def lines() -> Callable[[Path], list[Any]]:
    """The values of a file of JSON lines."""
    return lambda path: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
