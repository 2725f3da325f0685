"""Costs against the papers' tables, to the last digit."""

import json

import pytest
import timm
import torch

from stitchable.anchors.module import anchor_from_module
from stitchable.space.build import SpaceOptions, build_space


def full_size(model):
    with torch.device("meta"):  # costs need shapes alone
        return anchor_from_module(timm.create_model(model), name=model.partition("_patch")[0]).outline


@pytest.fixture(scope="module")
def deit():
    """Space of DeiT-Ti, -S and -B with the paper's options: kernel 2, stride 1, nearest."""
    return build_space([full_size(f"deit_{size}_patch16_224") for size in ("tiny", "small", "base")])


@pytest.fixture(scope="module")
def table(shared_data):
    path = shared_data.parent / "reference" / "published_deit_ti_s_b.jsonl"
    if not path.is_file():
        pytest.skip(f"no published table at {path}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [
        ("deit_tiny", 1258411200, 5717416),
        ("deit_small", 4608338304, 22050664),
        ("deit_base", 17582740224, 86567656),
    ],
)
def test_published_deits(deit, name, macs, params):
    cost = deit.cost(name)
    assert (cost.macs, cost.params) == (macs, params)


@pytest.mark.parametrize(("model", "macs"), [("resnet18", 1819065856), ("resnet50", 4111512576)])
def test_published_resnets(model, macs):
    assert full_size(model).cost.macs == macs


def test_resnet_18_and_50_have_ten_stitches():

    assert (
        build_space([full_size("resnet18"), full_size("resnet50")], SpaceOptions(stages=(1, 2))).count == 10
    )


@pytest.mark.parametrize("index", range(71))
def test_published_rows_of_stitched_deits(deit, table, index):
    """Row by row, with the table's two omissions put back.

    The released stitches skip the end anchor's final LayerNorm (5 MACs per element of 197 tokens) and
    do not count the front anchor's class token and position embedding (1 + 197 rows) as params.
    """
    row, stitch = table[index], deit[index]
    assert row["index"] == index
    macs, params = row["macs"], row["params"]
    if len(stitch.segments) > 1:
        widths = {"deit_tiny": 192, "deit_small": 384, "deit_base": 768}
        macs += 5 * 197 * widths[stitch.anchors[-1]]
        params += 198 * widths[stitch.anchors[0]]
    cost = deit.cost(stitch)
    assert (cost.macs, cost.params) == (macs, params)


def test_the_table_is_the_whole_space(deit, table):
    assert len(table) == deit.count == 71
