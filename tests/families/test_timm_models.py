"""Every family of timm on real models at small inputs, by the table that the benchmark reads."""

from pathlib import Path

import pytest
import timm
import torch
import yaml

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.anchors.registry import families, family_of
from stitchable.input_spec import InputSpec

TABLE = Path(__file__).resolve().parents[2] / "benchmarks" / "recomposition_models.yaml"
ROWS = [row for row in yaml.safe_load(TABLE.read_text(encoding="utf-8")) if row["library"] == "timm"]


def built(row):
    images = InputSpec((3, row["size"], row["size"]), (0.5,) * 3, (0.5,) * 3)
    return anchor_from_timm(row["model"], arguments=row.get("arguments"), input_spec=images)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row["model"], marks=() if row.get("quick") else pytest.mark.slow) for row in ROWS],
)
def test_recomposes_bit_for_bit(row):
    anchor = built(row)
    found = check_anchor(anchor)
    assert found.difference == 0
    assert found.cuts == anchor.depth + 1 > 2
    # What the parts hold is the whole model, each shared parameter once.
    assert anchor.outline.cost.params == sum(parameter.numel() for parameter in anchor.model.parameters())


@pytest.mark.slow
def test_every_family_of_timm_is_in_the_table():
    seen = set()
    for row in ROWS:
        with torch.device("meta"):  # a class needs no weights
            seen.add(family_of(timm.create_model(row["model"], **row.get("arguments", {}))).name)
    assert seen == {family.name for family in families() if family.library == "timm"}
