"""Every family on real models at small inputs, by the table that the benchmark reads."""

import pytest
import timm
import torch

from recomposition import build, rows
from stitchable.anchors.check import check_anchor
from stitchable.anchors.registry import families, family_of
from stitchable.anchors.torchvision_source import TorchvisionSource


def marks(row):
    return () if row.get("quick") else pytest.mark.slow


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row['library']}-{row['model']}", marks=marks(row)) for row in rows()]
)
def test_recomposes_bit_for_bit(row):
    anchor = build(row)
    found = check_anchor(anchor)
    assert found.difference == 0
    assert found.cuts == anchor.depth + 1 > 2
    # What the parts hold is the whole model, each shared parameter once.
    assert anchor.outline.cost.params == sum(parameter.numel() for parameter in anchor.model.parameters())


@pytest.mark.slow
def test_every_family_is_in_the_table():
    seen = set()
    for row in rows():
        with torch.device("meta"):  # a class needs no weights
            if row["library"] == "timm":
                model = timm.create_model(row["model"], **row.get("arguments", {}))
            elif row["library"] == "torchvision":
                model = TorchvisionSource(row["model"], {}).build()
            else:
                model = build({**row, "size": 56}).model
        family = family_of(model)
        if family:  # the others are split by their graphs
            seen.add((family.library, family.name))
    assert seen == {(family.library, family.name) for family in families()}
