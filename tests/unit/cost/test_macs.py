import warnings

import pytest
import torch
from timm.layers import Attention, GroupNorm1, LayerNorm2d, RmsNorm, RmsNorm2d, SimpleNorm2d
from torch import nn

from stitchable.anchors.copies import on_meta
from stitchable.cost.macs import count_macs


def macs_of(module, *shape):
    macs, y = count_macs(on_meta(module), torch.empty(shape, device="meta"))
    assert y.device.type == "meta"
    return macs


def fvcore_macs(model, shape):
    with warnings.catch_warnings():  # of torch.jit's own age
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(model.eval(), torch.zeros(1, *shape))
        return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Linear(7, 11), (1, 7), 7 * 11),
        (nn.Linear(7, 11, bias=False), (1, 5, 7), 5 * 7 * 11),
        (nn.Linear(7, 11), (1, 5, 7), 5 * 7 * 11),
        (nn.Conv2d(6, 8, 3, padding=1), (1, 6, 10, 12), 10 * 12 * 8 * 6 * 9),
        (nn.Conv2d(6, 8, 3, padding=1, bias=False), (1, 6, 10, 12), 10 * 12 * 8 * 6 * 9),
        (nn.Conv2d(6, 8, 3, padding=1, stride=2), (1, 6, 10, 12), 5 * 6 * 8 * 6 * 9),
        (nn.Conv2d(6, 8, (5, 1), groups=2), (1, 6, 10, 12), 6 * 12 * 8 * 3 * 5),
        (nn.Conv2d(6, 6, 3, groups=6, dilation=2), (1, 6, 10, 12), 6 * 8 * 6 * 9),
        (nn.LayerNorm(7), (1, 5, 7), 5 * 5 * 7),
        (nn.LayerNorm(7, bias=False), (1, 5, 7), 5 * 5 * 7),
        (nn.LayerNorm(7, elementwise_affine=False), (1, 5, 7), 0),
        (LayerNorm2d(7), (1, 7, 5, 4), 5 * 7 * 5 * 4),
        (nn.LayerNorm(7), (1, 5, 4, 7), 5 * 7 * 5 * 4),
        (GroupNorm1(7), (1, 7, 5, 4), 5 * 7 * 5 * 4),
        (nn.RMSNorm(7), (1, 5, 7), 0),
        (RmsNorm(7), (1, 5, 7), 0),
        (RmsNorm2d(7), (1, 7, 5, 4), 0),
        (SimpleNorm2d(7), (1, 7, 5, 4), 0),
        (nn.GroupNorm(2, 6), (1, 6, 5, 4), 5 * 6 * 5 * 4),
        (nn.GroupNorm(2, 6, affine=False), (1, 6, 5, 4), 0),
        (nn.BatchNorm2d(6), (1, 6, 5, 4), 2 * 6 * 5 * 4),
        (nn.AdaptiveAvgPool2d(1), (1, 6, 5, 4), 6 * 5 * 4),
        (nn.AdaptiveAvgPool2d(2), (1, 6, 5, 4), 6 * 5 * 4),
        (nn.ReLU(), (1, 6, 5, 4), 0),
        (nn.GELU(), (1, 5, 7), 0),
        (nn.Softmax(dim=-1), (1, 5, 7), 0),
        (nn.MaxPool2d(2), (1, 6, 4, 4), 0),
    ],
    ids=str,
)
def test_single_layers_by_hand(layer, shape, expected):
    assert macs_of(layer, *shape) == expected


@pytest.mark.parametrize(
    ("pool", "shape", "expected"),
    [
        (lambda x: x.mean(dim=(2, 3)), (1, 6, 5, 4), 6 * 5 * 4),
        (lambda x: x.mean(dim=(-2, -1), keepdim=True), (1, 6, 5, 4), 6 * 5 * 4),
        (lambda x: x.mean(dim=1), (1, 5, 7), 0),
        (lambda x: x.mean(dim=(1, 2)), (1, 5, 4, 6), 0),
        (lambda x: x.mean(dim=-1), (1, 5, 7), 0),
        (lambda x: x.mean(dim=1), (1, 6, 5, 4), 0),
    ],
)
def test_means_over_rows_and_columns_are_pooling_and_others_are_not(pool, shape, expected):
    assert count_macs(pool, torch.empty(shape, device="meta"))[0] == expected


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("heads", "width", "tokens"), [(3, 12, 5), (1, 8, 9), (4, 32, 17)])
def test_attention_by_hand(fused, heads, width, tokens):
    layer = Attention(width, num_heads=heads, qkv_bias=True)
    layer.fused_attn = fused
    projections = tokens * width * 3 * width + tokens * width * width
    products = 2 * tokens * tokens * width  # queries · keys and weights · values, all heads together
    assert macs_of(layer, 1, tokens, width) == projections + products


def test_runs_on_the_cpu_as_well():
    macs, y = count_macs(nn.Linear(3, 4), torch.zeros(1, 3))
    assert macs == 12
    assert y.shape == (1, 4)
    assert not y.requires_grad


@pytest.mark.parametrize(
    "changes", [{}, {"depth": 2, "patch_size": 8}, {"qkv_bias": False, "mlp_ratio": 2.0}]
)
def test_vit_without_fused_attention_costs_what_fvcore_counts(vit, changes):
    anchor = vit("tiny", 24, **changes)
    fused = macs_of(anchor.model, 1, 3, 32, 32)
    for block in anchor.model.blocks:
        assert block.attn.fused_attn  # or the count below would say nothing about ours
        block.attn.fused_attn = False
    assert fused == macs_of(anchor.model, 1, 3, 32, 32) == fvcore_macs(anchor.model, (3, 32, 32))
    assert anchor.outline.cost.macs == fused


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "resnext50_32x4d", "resnet18d", "resnetblur18"])
def test_resnets_cost_what_fvcore_counts(resnet, model):
    changes = {} if model != "resnext50_32x4d" else {"channels": [32, 64, 64, 64], "layers": [1, 1, 2, 1]}
    anchor = resnet("tiny", model, **changes)
    assert anchor.outline.cost.macs == fvcore_macs(anchor.model, (3, 32, 32))
    assert anchor.outline.cost.params == sum(p.numel() for p in anchor.model.parameters())


def test_squeeze_and_excitation_adds_its_pooling_to_what_fvcore_counts(resnet):
    anchor = resnet("tiny", "seresnet18")
    # fvcore leaves out means; each of the eight blocks pools its whole map once.
    maps = [4 * 8 * 8] * 2 + [8 * 4 * 4] * 2 + [12 * 2 * 2] * 2 + [16] * 2
    assert anchor.outline.cost.macs == fvcore_macs(anchor.model, (3, 32, 32)) + sum(maps)


def test_cifar_resnets_cost_what_fvcore_counts(cifar_network):
    for anchor in cifar_network.anchors.values():
        assert anchor.outline.cost.macs == fvcore_macs(anchor.model, (3, 32, 32))
