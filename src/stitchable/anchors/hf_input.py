"""What images a model of Hugging Face takes: from its preprocessor's file, or from its configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stitchable.input_spec import InputSpec

FILE = "preprocessor_config.json"

# Numbers of Pillow's filters, which the file stores.
_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def read_hf_input(place: str, config: Mapping[str, Any]) -> InputSpec:
    """Images of a model in a folder or on the hub.

    Args:
        place: The folder, or a hub id, which may use the network.
        config: The model's configuration, for what the file does not say.
    """
    path = Path(place) / FILE
    if not Path(place).is_dir():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            path = Path(hf_hub_download(place, FILE))
        except (EntryNotFoundError, OSError):
            return hf_input({}, config)
    return hf_input(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}, config)


def hf_input(record: Mapping[str, Any], config: Mapping[str, Any]) -> InputSpec:
    """Images by the content of a ``preprocessor_config.json``.

    Where it says nothing, the size is the configuration's ``image_size`` (224 without one) and mean and std
    are 0.5, the library's own default. A preprocessor that squeezes an image into the size without a crop
    has no counterpart here; our transform keeps the image's shape and crops.

    Args:
        record: The file's content; empty if there is none.
        config: The model's configuration.

    Example:
        >>> hf_input({"size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": True}, {}).crop_pct
        0.875
    """
    channels = int(config.get("num_channels") or 3)
    resized = _sides(record.get("size")) or _sides(config.get("image_size")) or (224, 224)
    size, crop_pct = resized, float(record.get("crop_pct") or 1.0)
    if record.get("do_center_crop") and record.get("crop_size"):
        size = _sides(record["crop_size"]) or resized
        crop_pct = size[0] / resized[0]
    normalized = record.get("do_normalize", True)
    return InputSpec(
        (channels, *size),
        _per_channel(record.get("image_mean", 0.5) if normalized else 0.0, channels),
        _per_channel(record.get("image_std", 0.5) if normalized else 1.0, channels),
        interpolation=_FILTERS.get(record.get("resample", 3), "bicubic"),
        crop_pct=crop_pct,
    )


def _sides(given: Any) -> tuple[int, int] | None:
    if isinstance(given, Mapping):
        side = given.get("shortest_edge")
        given = [given["height"], given["width"]] if "height" in given else side
    if given is None:
        return None
    rows, columns = given if isinstance(given, (list, tuple)) else (given, given)
    return int(rows), int(columns)


def _per_channel(given: Any, channels: int) -> tuple[float, ...]:
    return tuple(map(float, given)) if isinstance(given, (list, tuple)) else (float(given),) * channels
