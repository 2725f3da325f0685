"""What stitches cost on a device: latency and memory under named conditions, and the file that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from stitchable.errors import StitchError

Runtime = Literal["eager", "compiled", "onnxruntime"]


@dataclass(frozen=True)
class Condition:
    """Under which conditions a cost was measured.

    Attributes:
        device: Type of the device, such as ``"cpu"`` or ``"cuda"``.
        runtime: What ran the stitch.
        dtype: What it computed in, such as ``"float32"``.
        batch: Images per call.
        threads: Threads of the processor.

    Example:
        >>> str(Condition(batch=8, threads=2))
        'cpu, eager, float32, batch 8, 2 threads'
    """

    device: str = "cpu"
    runtime: Runtime = "eager"
    dtype: str = "float32"
    batch: int = 1
    threads: int = 1

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"{self.device}, {self.runtime}, {self.dtype}, batch {self.batch}, {threads}"


@dataclass(frozen=True)
class DeviceCost:
    """One stitch on a device, per call of a whole batch.

    Attributes:
        p50_ms: Median latency in milliseconds.
        p95_ms: Latency that 95 % of the calls stay under, in milliseconds.
        memory_bytes: Peak memory of weights and features, in bytes.
    """

    p50_ms: float
    p95_ms: float
    memory_bytes: int


@dataclass(frozen=True)
class DeviceCosts:
    """Costs of stitches under one condition.

    Attributes:
        condition: Under which.
        stitches: By text id.
        error: Median relative error of the predicted medians on stitches that were measured whole;
            ``None`` where none was.
        notes: Whatever else the profile has to say, as plain data.
    """

    condition: Condition
    stitches: Mapping[str, DeviceCost]
    error: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def write_device_costs(path: str | Path, costs: list[DeviceCosts]) -> None:
    """Write JSON; the file appears whole or not at all."""
    path = Path(path)
    beside = path.with_name(path.name + ".partial")
    beside.write_text(json.dumps([asdict(each) for each in costs], indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def read_device_costs(path: str | Path) -> list[DeviceCosts]:
    """Read what `write_device_costs` wrote.

    Raises:
        StitchError: The file is missing or does not read.
    """
    path = Path(path)
    if not path.is_file():
        raise StitchError(f"No profile at {path}. Measure one first with 'stitchable profile'.")
    try:
        return [_costs(each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StitchError(
            f"{path} is no profile: {error}. Measure again with 'stitchable profile'."
        ) from error


def _costs(values: Mapping[str, Any]) -> DeviceCosts:
    return DeviceCosts(
        Condition(**values["condition"]),
        {stitch: DeviceCost(**cost) for stitch, cost in values["stitches"].items()},
        values.get("error"),
        values.get("notes") or {},
    )
