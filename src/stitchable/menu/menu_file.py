"""A menu as data, and the file that later commands read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from stitchable.errors import StitchError
from stitchable.evaluation.device_cost import Condition
from stitchable.menu.axis import Percentile
from stitchable.menu.evidence import Basis, Lead
from stitchable.menu.gaps import Gap


@dataclass(frozen=True)
class MenuEntry:
    """One stitch of a menu.

    Attributes:
        stitch: Text id.
        cost: Along the menu's axis.
        top1: Top-1 in percent.
        top1_low: Lower end of its 95 % interval.
        top1_high: Upper end.
        images: Number of images seen.
        costs: Everything it is known to cost, under the keys of `stitchable.menu.axis`.
        anchor: Name of the anchor, if it is one.
        on_front: Whether nothing as cheap is as accurate; only an anchor that was to be kept may be off it.
        gain: Against the entry on the front before it; ``None`` for the first.
    """

    stitch: str
    cost: float
    top1: float
    top1_low: float
    top1_high: float
    images: int
    costs: Mapping[str, float]
    anchor: str | None = None
    on_front: bool = True
    gain: Lead | None = None


@dataclass(frozen=True)
class Menu:
    """Entries by ascending cost, and what they stand for.

    Attributes:
        axis: Name of the cost axis.
        size: Number of entries that was asked for.
        entries: The entries.
        gaps: Ranges of budgets in which nothing is worth having.
        largest_loss: Most top-1 that any budget from the cheapest entry up loses against the best of the
            whole cloud by rounding it down to the menu, in points.
        mean_loss: The same on average over budgets that are even on a logarithmic scale.
        cloud: Number of stitches chosen from.
        front: How many of them lie on the front.
        basis: On what comparisons rest.
        confidence: Of each comparison.
        condition: Under which latency and memory were taken; ``None`` where they were not.
        percentile: Which latency counts.
        notes: What else there is to know, in sentences.
    """

    axis: str
    size: int
    entries: tuple[MenuEntry, ...]
    gaps: tuple[Gap, ...]
    largest_loss: float
    mean_loss: float
    cloud: int
    front: int
    basis: Basis
    confidence: float
    condition: Condition | None = None
    percentile: Percentile = "p50"
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        values = asdict(self)
        return {**values, **{name: list(values[name]) for name in ("entries", "gaps", "notes")}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Menu:
        """Read what `to_dict` gave; keys that are not ours are ignored.

        Raises:
            KeyError, TypeError: Something is missing or of the wrong kind.
        """
        known = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        known["entries"] = tuple(
            MenuEntry(**{**each, "gain": each["gain"] and Lead(**each["gain"])}) for each in values["entries"]
        )
        known["gaps"] = tuple(
            Gap(**{**each, "best_gain": each["best_gain"] and Lead(**each["best_gain"])})
            for each in values["gaps"]
        )
        known["condition"] = values["condition"] and Condition(**values["condition"])
        known["notes"] = tuple(values["notes"])
        return cls(**known)


def write_menu(path: str | Path, menu: Menu) -> None:
    """Write ``.yaml``, ``.yml`` or ``.json``; the file appears whole or not at all.

    Raises:
        StitchError: The name ends otherwise.
    """
    path = Path(path)
    _check_name(path)
    values = {"menu": 1, **menu.to_dict()}
    text = (
        json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        if path.suffix == ".json"
        else yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True, width=110)
    )
    beside = path.with_name(path.name + ".partial")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def read_menu(path: str | Path) -> Menu:
    """Read what `write_menu` wrote.

    Raises:
        StitchError: The file is missing or is no menu.
    """
    path = Path(path)
    _check_name(path)
    if not path.is_file():
        raise StitchError(f"No menu at {path}. Write one with 'stitchable menu RUN --out {path}'.")
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        if values["menu"] != 1:
            raise ValueError(f"it is of version {values['menu']!r}, and this reads 1")
        return Menu.from_dict(values)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StitchError(
            f"{path} is no menu: {error!r}. Write it again with 'stitchable menu RUN --out {path}'."
        ) from error


def _check_name(path: Path) -> None:
    if path.suffix not in {".yaml", ".yml", ".json"}:
        raise StitchError(f"{path} is neither YAML nor JSON. Name a file that ends in .yaml, .yml or .json.")


def _plain(value: Any) -> Any:
    """Without tuples, which YAML would write as Python's."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
