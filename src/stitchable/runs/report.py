"""The report of a run: its page and figures."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch

import stitchable
from stitchable.anchors.store import read_config
from stitchable.cost.macs import CONVENTION
from stitchable.evaluation.agreement import agreement
from stitchable.evaluation.curve import CurveRow, read_curve
from stitchable.evaluation.device_cost import read_device_costs
from stitchable.evaluation.outcomes import read_outcomes
from stitchable.report.certainty import spread_front
from stitchable.report.figure import draw_curve
from stitchable.report.page import write_report
from stitchable.runs.folder import RunFolder


def report_run(run: RunFolder, *, title: str | None = None, chosen: str | None = None) -> Path:
    """Write ``report.html``, ``curve.svg`` and ``curve.png`` from the curves of a run.

    Args:
        run: A run with a curve.
        title: Of the page and the figure.
        chosen: Id of the stitch whose path is shown first.

    Raises:
        StitchError: There is no curve yet.
    """
    config = run.read_config()
    trained = run.is_trained
    rows = read_curve(run.latest_curve)
    fitted = read_curve(run.curve_fitted) if trained and run.curve_fitted.is_file() else None
    network_config = read_config(run.weights, "network")
    title = title or f"Stitching {', '.join(anchor['name'] for anchor in network_config['anchors'])}"
    outlines = network_config["outlines"]
    data = config.get("data", {})
    facts = {
        "Held-out images": f"{rows[0].images:,} of {data.get('val')}",
        "Weights": "after joint training" if trained else "as fitted, before training",
        "Made with": f"stitchable {stitchable.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}",
        "Date": date.today().isoformat(),
    }
    if run.train_summary_file.is_file() and trained:
        summary = json.loads(run.train_summary_file.read_text(encoding="utf-8"))
        facts["Training"] = f"{summary['steps']:,} steps in {summary['seconds'] / 60:.1f} min"
    facts.update(_batch_norm(rows, fitted))
    answers = run.latest_outcomes
    alike = agreement(read_outcomes(answers), spread_front(rows)) if answers.is_file() else None
    write_report(
        run.report,
        title=title,
        rows=rows,
        fitted=fitted,
        depths={name: len(outline["stages"]) for name, outline in outlines.items()},
        stages={name: outline["stages"] for name, outline in outlines.items()},
        facts=facts,
        chosen=chosen,
        macs_note=CONVENTION,
        device=read_device_costs(run.profile) if run.profile.is_file() else (),
        agreement=alike,
        classes=next((each["classes"] for each in network_config["anchors"] if each.get("classes")), ()),
    )
    draw_curve(rows, title=title, path=run.figures, fitted=fitted)
    return run.report


def _batch_norm(rows: Sequence[CurveRow], fitted: Sequence[CurveRow] | None) -> dict[str, str]:
    """Where BatchNorm statistics were adjusted, a fact that says so."""

    def described(curve: Sequence[CurveRow]) -> str:
        images = [row.calibration_images for row in curve if row.calibration_images]
        if not images:
            return "the anchors' own statistics"
        return (
            f"statistics adjusted behind the joints of {len(images)} stitches, on {max(images):,} "
            "training images; 'extract' writes them"
        )

    now, before = described(rows), described(fitted or rows)
    if now == before:
        return {"BatchNorm": now} if now != described([]) else {}
    return {"BatchNorm": f"{now}; before training: {before}"}
