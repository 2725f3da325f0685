"""What every benchmark writes down: the machine, medians with intervals, a table and a JSON file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch


def machine() -> dict[str, Any]:
    """CPU model, cores and versions; nothing that tells where or whose the machine is."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "load_before": round(os.getloadavg()[0], 2),
    }


def median_interval(values: Sequence[float], *, draws: int = 4000, seed: int = 0) -> dict[str, float]:
    """Median with its 95 % percentile-bootstrap interval."""
    given = np.asarray(values)
    picked = np.random.default_rng(seed).integers(len(given), size=(draws, len(given)))
    low, high = np.percentile(np.median(given[picked], axis=1), [2.5, 97.5])
    return {"median": median(values), "low": float(low), "high": float(high)}


def print_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print columns, the first one left-aligned."""
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    for line in (head, *lines):
        cells = [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *cells]))


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"written {path}")
