"""What ``config.json`` of a saved folder holds: checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stitchable.errors import StitchError


@dataclass(frozen=True)
class _Maybe:
    """A value that may be null or missing."""

    shape: Any


# A dict names keys (`...` stands for every key), a list holds any number of one shape, a tuple is a list
# of just these shapes, a type is itself; float takes integers too.
_INPUT = {"size": [int], "mean": [float], "std": [float], "interpolation": str, "crop_pct": float}
_ANCHOR = {
    "name": str,
    "source": {"kind": str},
    "input": _INPUT,
    "own_input": _Maybe(_INPUT),
    "classes": _Maybe([str]),
}
_SPACE = {"most_joints": int, "joints": [(str, int, str, int, str)], "members": _Maybe([str])}
_BEHIND = {"behind": _Maybe(str)}
_CALIBRATION = {"calibration_images": _Maybe(int)}
_KINDS = {
    "anchor": {"anchors": [_ANCHOR]},
    "network": {"anchors": [_ANCHOR], "space": _SPACE, "outlines": {...: {"stages": [int]}}, **_BEHIND},
    "subnetwork": {"anchors": [_ANCHOR], "space": _SPACE, "stitch": str, **_CALIBRATION, **_BEHIND},
}
_SOURCES = {
    "timm": {"model": str, "arguments": {}},
    "torchvision": {"model": str, "arguments": {}},
    "hf": {"config": {}},
    "code": {"text": str, "file": str, "function": str},
}


def check_config(path: Path, config: Mapping[str, Any], kind: str) -> None:
    """Make sure that a configuration has every entry that reading needs, each of its type.

    Args:
        path: The file, for the message.
        config: What it holds.
        kind: ``"anchor"``, ``"network"`` or ``"subnetwork"``.

    Raises:
        StitchError: An entry is missing or of another type; the first such one is named.
    """
    fault = _fault(config, _KINDS[kind], "")
    if fault is None and not config["anchors"]:
        fault = "anchors is empty"
    for number, anchor in enumerate(() if fault else config["anchors"]):
        shape = _SOURCES.get(anchor["source"]["kind"], {})
        fault = fault or _fault(anchor["source"], shape, f"anchors[{number}].source")
    if fault:
        raise StitchError(f"{path} does not describe a saved {kind}: {fault}. Save the {kind} again.")


def _fault(value: Any, shape: Any, where: str) -> str | None:
    if isinstance(shape, _Maybe):
        return None if value is None else _fault(value, shape.shape, where)
    if isinstance(shape, dict):
        return _fault_of_mapping(value, shape, where)
    if isinstance(shape, (list, tuple)):
        if not isinstance(value, list):
            return f"{where} is {value!r}, not a list"
        if isinstance(shape, tuple) and len(value) != len(shape):
            return f"{where} has {len(value)} entries, not {len(shape)}"
        shapes = shape if isinstance(shape, tuple) else shape * len(value)
        pairs = enumerate(zip(value, shapes, strict=True))
        faults = (_fault(each, inner, f"{where}[{number}]") for number, (each, inner) in pairs)
        return next((fault for fault in faults if fault), None)
    wanted = (int, float) if shape is float else shape
    if isinstance(value, wanted) and not isinstance(value, bool):
        return None
    return f"{where} is {value!r}, not {'a number' if shape is float else f'of type {shape.__name__}'}"


def _fault_of_mapping(value: Any, shape: Mapping[Any, Any], where: str) -> str | None:
    if not isinstance(value, Mapping):
        return f"{where} is {value!r}, not a mapping"
    named = dict.fromkeys(value, shape[...]) if ... in shape else shape
    for key, inner in named.items():
        here = f"{where}.{key}" if where else str(key)
        if key not in value and not isinstance(inner, _Maybe):
            return f"{here} is missing"
        fault = _fault(value.get(key), inner, here)
        if fault:
            return fault
    return None
