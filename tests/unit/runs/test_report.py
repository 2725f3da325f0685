from dataclasses import asdict

import pytest

from stitchable.errors import StitchError
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.report import report_run
from stitchable.runs.sweep import sweep_run


def test_report_says_what_was_measured(fitted, contents):
    run = RunFolder(fitted)
    with pytest.raises(StitchError, match="No curve at"):
        report_run(run)
    # The data are named for the sweep alone, not for the fit.
    run.write_config({**run.read_config(), "data": asdict(DataConfig())})
    sweep_run(run, data=DataConfig(val="digits:val"), options=SweepConfig(images=20))
    page = report_run(run, title="Two little ones")
    text = page.read_text(encoding="utf-8")
    assert "Two little ones" in text
    assert "20 of digits:val" in text
    assert "as fitted, before training" in text
    assert {"report.html", "curve.svg", "curve.png"} <= contents(fitted).keys()
    assert "What changes when switching" in text
    run.outcomes_fitted.unlink()
    text = report_run(run, title="Two little ones").read_text(encoding="utf-8")
    assert "What changes when switching" not in text
    before = contents(fitted)
    with pytest.raises(StitchError, match="is not on the curve"):
        report_run(run, chosen="small[0:1]+medium[2:3]")
    assert contents(fitted) == before
