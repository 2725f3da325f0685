import dataclasses
import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.cost.joint import stitching_cost
from stitchable.cost.macs import count_macs
from stitchable.cost.parts import total
from stitchable.feature import FeatureSpec
from stitchable.layers.stitching import StitchingLayer


def specs(kind, front, end, grid=(2, 3)):
    prefix = 1 if kind == "tokens" else 0
    return FeatureSpec(kind, front, grid, prefix), FeatureSpec(kind, end, grid, prefix)


@given(
    st.sampled_from(["tokens", "map"]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=50)
def test_is_the_affine_map_at_every_position(kind, front, end, batch, seed):
    given_spec, wanted_spec = specs(kind, front, end)
    layer = StitchingLayer(given_spec, wanted_spec).double()
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(end, front)), rng.normal(size=end)
    layer.set_affine(torch.from_numpy(weight), torch.from_numpy(bias))
    x = rng.normal(size=given_spec.shape(batch))
    y = layer(torch.from_numpy(x)).detach()
    if kind == "tokens":
        expected = np.einsum("ef,bpf->bpe", weight, x) + bias
    else:
        expected = np.einsum("ef,bfrc->berc", weight, x) + bias[:, None, None]
    assert tuple(y.shape) == wanted_spec.shape(batch)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["tokens", "map"])
def test_set_affine_rounds_to_the_layers_dtype(kind):
    layer = StitchingLayer(*specs(kind, 3, 2))
    weight, bias = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    layer.set_affine(weight, bias)
    assert layer.projection.weight.dtype == torch.float32
    assert torch.equal(layer.projection.weight.reshape(2, 3), weight.float())
    assert torch.equal(layer.projection.bias, bias.float())
    assert layer.projection.weight.requires_grad


@pytest.mark.parametrize("kind", ["tokens", "map"])
def test_holds_a_weight_and_a_bias_and_no_more(kind):
    layer = StitchingLayer(*specs(kind, 7, 4))
    assert [name for name, _ in layer.named_parameters()] == ["projection.weight", "projection.bias"]
    assert sum(parameter.numel() for parameter in layer.parameters()) == 7 * 4 + 4


@pytest.mark.parametrize("kind", ["tokens", "map"])
def test_kaiming_is_uniform_within_one_over_the_root_of_the_width(kind):
    front, end = 64, 500
    layer = StitchingLayer(*specs(kind, front, end))
    layer.reset_kaiming(torch.Generator().manual_seed(0))
    bound = 1 / math.sqrt(front)  # sqrt(6 / ((1 + 5) · fan_in)) is the same number
    for values in (layer.projection.weight.detach(), layer.projection.bias.detach()):
        assert values.abs().max() <= bound
        assert values.abs().max() > 0.98 * bound
        # Variance of a uniform number in ±bound; four standard errors of the estimate.
        spread = values.double().square().mean().item()
        assert spread == pytest.approx(bound**2 / 3, rel=4 * math.sqrt(4 / 5 / values.numel()))


@pytest.mark.parametrize("kind", ["tokens", "map"])
def test_kaiming_depends_on_the_generator_alone(kind):
    first, second, other = (StitchingLayer(*specs(kind, 5, 3)) for _ in range(3))
    before = torch.get_rng_state()
    first.reset_kaiming(torch.Generator().manual_seed(7))
    second.reset_kaiming(torch.Generator().manual_seed(7))
    other.reset_kaiming(torch.Generator().manual_seed(8))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.projection.weight, second.projection.weight)
    assert torch.equal(first.projection.bias, second.projection.bias)
    assert not torch.equal(first.projection.weight, other.projection.weight)
    assert not torch.equal(first.projection.bias, other.projection.bias)


MAP, LAST, TOKENS = (
    FeatureSpec("map", 3, (4, 6)),
    FeatureSpec("map", 3, (4, 6), channels_last=True),
    FeatureSpec("tokens", 3, (4, 6), prefix_tokens=2),
)
"""The same kinds of features with every grid; widths and prefixes are changed below."""


def grid_of(x, spec):
    """Grid (batch, rows, columns, width) of a feature, in numpy."""
    x = x.detach().numpy()
    if spec.kind == "tokens":
        return x[:, spec.prefix_tokens :].reshape(len(x), *spec.grid, spec.width)
    return x if spec.channels_last else np.moveaxis(x, 1, 3)


@pytest.mark.parametrize("front", [MAP, LAST, TOKENS], ids=["map", "channels last", "tokens"])
@pytest.mark.parametrize("end", [MAP, LAST, TOKENS], ids=["map", "channels last", "tokens"])
@pytest.mark.parametrize("grid", [(4, 6), (2, 3), (8, 12)], ids=["same", "shrinks", "grows"])
@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_every_feature_is_brought_to_every_other(front, end, grid, prefix):
    end = dataclasses.replace(end, width=5, grid=grid, prefix_tokens=prefix if end.kind == "tokens" else 0)
    layer = StitchingLayer(front, end).double()
    layer.reset_kaiming(torch.Generator().manual_seed(0))
    x = torch.randn(front.shape(2), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = layer(x)
    assert tuple(y.shape) == end.shape(2)

    weight, bias = (
        layer.projection.weight.detach().reshape(5, 3).numpy(),
        layer.projection.bias.detach().numpy(),
    )
    given = grid_of(x, front)
    if grid == (2, 3):
        given = given.reshape(2, 2, 2, 3, 2, 3).mean((2, 4))
    elif grid == (8, 12):
        given = scipy.ndimage.zoom(given, (1, 2, 2, 1), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(grid_of(y, end), given @ weight.T + bias, rtol=1e-12, atol=1e-12)

    kept = min(front.prefix_tokens, end.prefix_tokens)
    tokens = y[:, : end.prefix_tokens].detach().numpy() if end.kind == "tokens" else np.zeros((2, 0, 5))
    np.testing.assert_allclose(
        tokens[:, :kept], x[:, :kept].numpy() @ weight.T + bias if kept else tokens[:, :0]
    )
    missing = end.prefix_tokens - kept
    assert (layer.prefix is None) == (missing == 0)
    if missing:
        layer.set_prefix(torch.full((missing, 5), 7.0))
        assert (layer(x)[:, kept : end.prefix_tokens] == 7).all()


@pytest.mark.parametrize("front", [MAP, LAST, TOKENS], ids=["map", "channels last", "tokens"])
@pytest.mark.parametrize("end", [MAP, LAST, TOKENS], ids=["map", "channels last", "tokens"])
@pytest.mark.parametrize("grid", [(4, 6), (2, 3), (8, 12), (2, 12)])
def test_the_cost_is_what_a_counter_finds(front, end, grid):
    end = dataclasses.replace(end, width=5, grid=grid)
    layer = StitchingLayer(front, end)
    macs, _ = count_macs(layer.to("meta"), torch.empty(front.shape(1), device="meta"))
    cost = total([stitching_cost(front, end, layer="a>b")])
    assert cost.macs == macs
    assert cost.params == sum(parameter.numel() for parameter in layer.parameters())
