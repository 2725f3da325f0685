import pytest
import timm
import torch
from torch import nn

from stitchable.anchors.vectors import is_norm, vector_names

ENDS = ("weight", "bias")
NORMS = [
    (nn.BatchNorm2d(3), True),
    (nn.LayerNorm(3), True),
    (nn.GroupNorm(1, 3), True),
    (nn.RMSNorm(3), True),
    (nn.InstanceNorm2d(3, affine=True), True),
    (timm.layers.RmsNorm2d(3), True),
    (timm.layers.BatchNormAct2d(3), True),
    (timm.layers.LayerNorm2d(3), True),
    (timm.layers.grn.GlobalResponseNorm(3), True),
    (nn.Linear(3, 3), False),
    (nn.Sequential(nn.LayerNorm(3)), False),
    (nn.MultiheadAttention(4, 2), False),
]


@pytest.mark.parametrize(("module", "expected"), NORMS, ids=lambda each: type(each).__name__)
def test_which_layers_are_norms(module, expected):
    assert is_norm(module) is expected


def test_the_vectors_of_a_vit_block():
    model = timm.create_model(
        "vit_tiny_patch16_224", embed_dim=8, num_heads=2, depth=1, img_size=32, init_values=0.1
    )
    norms = {f"{layer}.{end}" for layer in ("blocks.0.norm1", "blocks.0.norm2", "norm") for end in ENDS}
    assert set(vector_names(model, "norms")) == norms
    linear = ("patch_embed.proj", "blocks.0.attn.qkv", "blocks.0.attn.proj", "blocks.0.mlp.fc1")
    biases = {f"{layer}.bias" for layer in (*linear, "blocks.0.mlp.fc2", "head")}
    assert set(vector_names(model, "biases")) == biases | {name for name in norms if name.endswith("bias")}


def test_tables_are_no_vectors():
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224",
        img_size=32,
        window_size=4,
        embed_dim=8,
        depths=(1, 1),
        num_heads=(1, 2),
    )
    assert any(name.endswith("bias_table") for name, _ in swin.named_parameters())
    assert not any("table" in name for name in vector_names(swin, "biases"))
    beit = timm.create_model("beit_base_patch16_224", img_size=32, embed_dim=8, num_heads=2, depth=1)
    found = set(vector_names(beit, "biases"))
    assert {"blocks.0.attn.q_bias", "blocks.0.attn.v_bias"} <= found
    assert all(beit.get_parameter(name).ndim == 1 for name in found)


def test_what_holds_a_norm_is_none():
    assert list(vector_names(timm.layers.ConvNormAct(3, 3), "norms")) == ["bn.weight", "bn.bias"]


def test_one_of_several_names_is_not_lost():
    model = nn.ModuleDict({"first": nn.Linear(2, 2), "last": nn.Linear(2, 2)})
    model["last"].bias = model["first"].bias
    assert list(vector_names(model, "biases")) == ["first.bias", "last.bias"]
    assert not list(vector_names(torch.nn.Identity(), "norms"))
