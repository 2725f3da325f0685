"""Costs against the papers' tables, to the last digit."""

import json

import pytest
import timm
import torch

from stitchable.anchors.module import anchor_from_module
from stitchable.cost.macs import count_macs
from stitchable.input_spec import InputSpec
from stitchable.network import StitchedNetwork
from stitchable.space.build import SpaceOptions, build_space


def full_size(model):
    with torch.device("meta"):  # costs need shapes alone
        return anchor_from_module(timm.create_model(model), name=model.partition("_patch")[0]).outline


@pytest.fixture(scope="module")
def deit():
    """Space of DeiT-Ti, -S and -B with the paper's options: kernel 2, stride 1, nearest."""
    return build_space([full_size(f"deit_{size}_patch16_224") for size in ("tiny", "small", "base")])


@pytest.fixture(scope="module")
def swin():
    """Space of Swin-Ti, -S and -B with the same options; all stages but the last are joined."""
    return build_space([full_size(f"swin_{size}_patch4_window7_224") for size in ("tiny", "small", "base")])


@pytest.fixture(scope="module")
def published(shared_data):
    """Reads a published table by its name."""

    def read(name):
        path = shared_data.parent / "reference" / f"published_{name}.jsonl"
        if not path.is_file():
            pytest.skip(f"no published table at {path}")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    return read


@pytest.fixture(scope="module")
def table(published):
    return published("deit_ti_s_b")


@pytest.fixture(scope="module")
def swin_table(published):
    return published("swin_ti_s_b")


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


@pytest.mark.parametrize(
    ("model", "macs"),
    [
        ("resnet18", 1819065856),
        ("resnet50", 4111512576),
        ("levit_192", 661663808),
        ("levit_256", 1133412864),
    ],
)
def test_published_macs(model, macs):
    assert full_size(model).cost.macs == macs


@pytest.mark.parametrize(
    ("models", "stages", "count"),
    [
        (("resnet18", "resnet50"), (1, 2), 10),
        (("resnet18", "swin_tiny_patch4_window7_224"), (1, 2), 8),
        (("levit_192", "levit_256"), None, 8),
    ],
)
def test_published_numbers_of_stitches(models, stages, count):
    assert build_space([full_size(model) for model in models], SpaceOptions(stages=stages)).count == count


@pytest.mark.parametrize(
    ("models", "stages"),
    [
        (("resnet18", "resnet50"), (1, 2)),
        (("resnet18", "swin_tiny_patch4_window7_224"), (1, 2)),
        (("levit_192", "levit_256"), None),
    ],
)
def test_every_stitch_costs_what_a_counter_finds_on_it(models, stages):
    """The paper gives no table for these three; the counter runs each extracted stitch from end to end."""
    inputs = InputSpec((3, 224, 224), (0.5,) * 3, (0.5,) * 3)
    with torch.device("meta"):
        anchors = [
            anchor_from_module(timm.create_model(model), name=model.partition("_patch")[0], input_spec=inputs)
            for model in models
        ]
        network = StitchedNetwork(anchors, SpaceOptions(stages=stages)).eval()
    for stitch in network.space:
        sub = network.extract(stitch)
        macs, logits = count_macs(sub, torch.empty(1, 3, 224, 224, device="meta"))
        assert logits.shape == (1, 1000)
        cost = network.cost(stitch)
        params = sum(parameter.numel() for parameter in sub.parameters())
        assert (cost.macs, cost.params) == (macs, params)
    layers = network.space.layers.values()  # one for each front block, not off by one
    assert all(len({joint.leave for joint in joints}) == 1 for joints in layers if models[0] == "resnet18")


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


@pytest.mark.parametrize("index", range(41))
def test_published_rows_of_stitched_swins(swin, swin_table, index):
    """Row by row; the table's params leave out the front anchor's patch merging, which is put back.

    Merging from width C holds a norm over 4C (8C) and a map from 4C to 2C without bias (8C²); the front
    runs one for each stage it has entered behind the first.
    """
    row, stitch = swin_table[index], swin[index]
    assert row["index"] == index
    params = row["params"]
    if len(stitch.segments) > 1:
        first = stitch.segments[0]
        width = {"swin_tiny": 96, "swin_small": 96, "swin_base": 128}[first.anchor]
        last_block = swin.outlines[first.anchor].stages[first.stop - 1]
        params += sum(8 * (width << stage) + 8 * (width << stage) ** 2 for stage in range(last_block))
    cost = swin.cost(stitch)
    assert (cost.macs, cost.params) == (row["macs"], params)


def test_the_swin_table_is_the_whole_space(swin, swin_table):
    assert len(swin_table) == swin.count == 41
