from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stitchable.input_spec import InputSpec

SPEC = InputSpec((3, 32, 32), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def noise(*, rows: int = 32, columns: int = 32, seed: int = 0, mode: str = "RGB") -> Image.Image:
    shape = (rows, columns) if mode == "L" else (rows, columns, len(mode))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode=None)


@pytest.fixture
def spec() -> InputSpec:
    return SPEC


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    return noise


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of 4, 3 and 2 lossless images of 32×32."""
    root = tmp_path / "photos"
    seed = 0
    for name, count in (("ant", 4), ("bee", 3), ("cat", 2)):
        (root / name).mkdir(parents=True)
        for place in range(count):
            noise(seed=seed).save(root / name / f"{place}.png")
            seed += 1
    return root


@pytest.fixture(scope="session")
def arrow_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arrow")


@pytest.fixture
def parquet(arrow_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Writes {column: values} as a parquet file by ``datasets``; its cache is a temporary folder."""
    datasets = pytest.importorskip("datasets", reason="the parquet extra is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", arrow_cache)

    def write(columns: dict[str, list], features: dict, *, name: str = "images.parquet") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
        shown = not datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()
        try:
            table.to_parquet(path)
        finally:
            if shown:
                datasets.enable_progress_bars()
        return path

    return write
