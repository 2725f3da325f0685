"""The curve of accuracy against cost: its rows, and the JSON-lines file that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from stitchable.errors import StitchError


@dataclass(frozen=True)
class CurveRow:
    """One stitch, measured.

    Attributes:
        index: Position in the stitching space; anchors come first.
        stitch: Text id, see `stitchable.stitch.Stitch`.
        macs: Multiply-accumulates for one image, by the convention of `stitchable.cost`.
        params: Learnable parameters of the extracted module.
        top1: Top-1 accuracy in percent.
        top1_low: Lower end of the 95 % Wilson interval, percent.
        top1_high: Upper end of the 95 % Wilson interval, percent.
        loss: Mean cross-entropy in nats.
        images: Number of images seen.
        on_front: Whether no stitch of the curve is as cheap or cheaper in MACs and more accurate.
        anchor: Name of the anchor if this row is an anchor alone, else ``None``.
        original_top1: For anchors, top-1 of the original before joint training on the same images.
        original_top1_low: Lower end of its interval.
        original_top1_high: Upper end of its interval.
        original_loss: Its mean cross-entropy.
        calibration_images: Number of training images on which the BatchNorm statistics behind the joints
            were adjusted to this path; ``None`` where they are the anchors' own.
        front_probability: Share of bootstrap samples of the images in which the row is on the front, 0 to 1;
            see `stitchable.evaluation.bootstrap`.
        calibration_error: Expected calibration error in 15 bins, percentage points.
        overconfidence: Mean confidence minus top-1, percentage points.
        worst_class: Number of the class that is answered worst, of those with at least 10 images.
        worst_class_top1: Its accuracy, percent.
        worst_class_images: Number of its images.
        gain_over: For rows on the front, the stitch next to them on the cheaper side. What follows compares
            the two on the images that both saw.
        gain: How much more accurate the row is than that one, percentage points.
        gain_low: Lower end of its paired 95 % interval.
        gain_high: Upper end.
        gain_p: Two-sided p-value of the exact McNemar test that both are equally accurate.
        churn: Percent of images whose predicted class changes when switching from that one to the row.
        negative_flips: Percent of images that were right and become wrong.
    """

    index: int
    stitch: str
    macs: int
    params: int
    top1: float
    top1_low: float
    top1_high: float
    loss: float
    images: int
    on_front: bool
    anchor: str | None = None
    original_top1: float | None = None
    original_top1_low: float | None = None
    original_top1_high: float | None = None
    original_loss: float | None = None
    calibration_images: int | None = None
    front_probability: float | None = None
    calibration_error: float | None = None
    overconfidence: float | None = None
    worst_class: int | None = None
    worst_class_top1: float | None = None
    worst_class_images: int | None = None
    gain_over: str | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    gain_p: float | None = None
    churn: float | None = None
    negative_flips: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data; fields that are ``None`` are left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def stopped_early(rows: Sequence[CurveRow]) -> list[CurveRow]:
    """Those that saw fewer images than others of their curve: a race has stopped them."""
    most = max((row.images for row in rows), default=0)
    return [row for row in rows if row.images < most]


def _kinds(annotation: Any) -> set[type]:
    kinds = set(get_args(annotation) or (annotation,))
    return kinds | {int} if float in kinds else kinds


_KINDS = {name: _kinds(annotation) for name, annotation in get_type_hints(CurveRow).items()}


def write_curve(path: str | Path, rows: Iterable[CurveRow]) -> None:
    """Write one JSON object per line; the file appears whole or not at all."""
    path = Path(path)
    beside = path.with_name(path.name + ".partial")
    beside.write_text("".join(json.dumps(row.to_dict()) + "\n" for row in rows), encoding="utf-8")
    beside.replace(path)


def read_curve(path: str | Path) -> list[CurveRow]:
    """Read what `write_curve` wrote; keys that are not ours are ignored.

    Raises:
        StitchError: The file is missing, holds no row, or a line does not read (its number is named).
    """
    path = Path(path)
    if not path.is_file():
        raise StitchError(f"No curve at {path}. Measure one first with 'stitchable sweep'.")
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, TypeError, AttributeError) as error:
            raise StitchError(f"{path}, line {number}, is not a row of a curve: {error}.") from error
    if not rows:
        raise StitchError(f"{path} holds no rows. Measure again with 'stitchable sweep'.")
    return rows


def _row(values: Mapping[str, Any]) -> CurveRow:
    for name, kinds in _KINDS.items():
        if name in values and type(values[name]) not in kinds:
            raise ValueError(f"{name} is {values[name]!r}")
    return CurveRow(**{key: values[key] for key in values if key in _KINDS})
