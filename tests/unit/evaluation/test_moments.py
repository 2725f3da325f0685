"""What BatchNorm statistics should be, against formulas written down and layers that run."""

import math

import pytest
import torch
from torch import nn

from stitchable.evaluation.moments import Moments, adjusted, before_each, moments


def of(mean, variance):
    return Moments(torch.tensor([float(mean)]), torch.tensor([float(variance)]))


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4), (6, 3, 4, 5), (6, 3, 2, 4, 5)])
def test_moments_are_those_of_all_values_of_a_channel(shape):
    x = 2 + 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    got = moments(x)
    for channel in range(3):
        values = [float(each) for each in x[:, channel].flatten()]
        mean = math.fsum(values) / len(values)
        variance = math.fsum((each - mean) ** 2 for each in values) / len(values)
        assert float(got.mean[channel]) == pytest.approx(mean, rel=1e-5)
        assert float(got.variance[channel]) == pytest.approx(variance, rel=1e-5)


def test_moments_of_half_precision_are_taken_in_float32():
    x = (1000 + torch.arange(64.0)).reshape(64, 1).half()
    assert moments(x).variance.item() == pytest.approx((64**2 - 1) / 12, rel=1e-5)  # of 64 numbers in a row


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_the_normalised_features_of_the_path_have_the_moments_of_the_anchor_s(eps):
    generator = torch.Generator().manual_seed(1)
    layer = nn.BatchNorm2d(7, eps=eps).double().eval()
    layer.running_mean.normal_(generator=generator)
    layer.running_var.uniform_(0.2, 3, generator=generator)
    widths, shifts = torch.rand((2, 7, 1, 1), generator=generator, dtype=torch.float64) * 4 + 0.5
    x, y = torch.randn((2, 20, 7, 3, 3), generator=generator, dtype=torch.float64)
    y = y * widths + shifts
    expected = layer(x)
    own = Moments(layer.running_mean.clone(), layer.running_var.clone())
    layer.running_mean, layer.running_var = adjusted(own, eps, alone=moments(x), path=moments(y))
    got = layer(y)
    assert torch.allclose(got.mean((0, 2, 3)), expected.mean((0, 2, 3)), atol=1e-12)
    assert torch.allclose(got.std((0, 2, 3)), expected.std((0, 2, 3)), rtol=1e-12)


def test_features_that_agree_leave_the_very_bits():
    own = Moments(torch.randn(50), torch.rand(50) + 1e-3)
    seen = Moments(torch.randn(50), torch.rand(50))
    got = adjusted(own, 1e-5, alone=seen, path=seen)
    assert torch.equal(got.mean, own.mean)
    assert torch.equal(got.variance, own.variance)


def test_where_the_layer_holds_the_anchor_s_moments_it_gets_the_path_s():
    got = adjusted(of(0.5, 2), 1e-5, alone=of(0.5, 2), path=of(-1, 0.7))
    assert got.mean.item() == pytest.approx(-1, rel=1e-6)
    assert got.variance.item() == pytest.approx(0.7, rel=1e-4)


@pytest.mark.parametrize("variance", [0.0, 1e-12, 1.0])
def test_dead_channels_keep_their_variance_and_follow_the_mean(variance):
    got = adjusted(of(0.5, variance), 1e-5, alone=of(0.2, 1e-30), path=of(0.3, 1e-12))
    assert got.variance.item() == pytest.approx(variance)
    assert got.mean.item() == pytest.approx(0.6)


def test_no_channel_is_enlarged_more_than_by_its_epsilon():
    got = adjusted(of(0, 1), 1e-3, alone=of(1, 5), path=of(2, 0))
    assert got.variance.item() == 0
    assert (2 - got.mean.item()) / math.sqrt(1e-3) == pytest.approx(1 / math.sqrt(1 + 1e-3), rel=1e-5)


def test_a_channel_that_is_dead_on_the_images_alone_stays_finite():
    got = adjusted(of(0, 1), 1e-5, alone=of(0, 0), path=of(0, 10))
    assert got.variance.item() == pytest.approx(10 / 1e-7, rel=1e-4)


def test_types_of_the_layer_are_kept():
    own = Moments(torch.zeros(3).half(), torch.ones(3).half())
    got = adjusted(own, 1e-5, alone=of(0, 1), path=of(1, 2))
    assert {each.dtype for each in got} == {torch.float16}


def test_hooks_are_gone_when_something_fails():
    layer, seen = nn.BatchNorm1d(2).eval(), []
    two_layers = nn.Sequential(layer, nn.Linear(7, 1))
    with pytest.raises(RuntimeError), before_each([layer], lambda norm, x: seen.append((norm, x))):
        two_layers(torch.ones(3, 2))
    layer(torch.ones(3, 2))
    assert len(seen) == 1
    assert seen[0][0] is layer
    assert not layer._forward_pre_hooks


def test_layers_may_be_called_with_their_input_s_name():
    layer, seen = nn.BatchNorm1d(2).eval(), []
    with before_each([layer], lambda norm, x: seen.append(x)):
        layer(input=torch.ones(3, 2))
    assert torch.equal(seen[0], torch.ones(3, 2))
