"""The training-free scores against their formulas, worked out in numpy or by another road."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stitchable.errors import StitchError
from stitchable.reassembly.options import ReassemblyConfig
from stitchable.reassembly.scores.grad_norm import grad_norm
from stitchable.reassembly.scores.jacov import SMALL, jacov
from stitchable.reassembly.scores.named import SCORES
from stitchable.reassembly.scores.naswot import naswot, sign_kernel
from stitchable.reassembly.scores.snip import snip
from stitchable.reassembly.scores.synflow import synflow
from stitchable.space.build import SpaceOptions


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return build()


@pytest.fixture(scope="module")
def linear():
    """Logits ``B A x`` of images of 1×2×3."""
    return seeded(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 4, bias=False), nn.Linear(4, 3, bias=False))
    )


@pytest.fixture(scope="module")
def matrices(linear):
    return [linear[place].weight.detach().double().numpy() for place in (1, 2)]


@pytest.fixture(scope="module")
def batches():
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(count, 1, 2, 3, generator=generator) for count in (5, 5)]


@pytest.fixture(scope="module")
def targets():
    return [torch.tensor([0, 2, 1, 1, 0]), torch.tensor([2, 2, 0, 1, 0])]


def by_hand(matrices, batches, targets):
    """Gradients of the mean cross-entropy of all images for A and B: (p − y) is that of the logits."""
    first, second = matrices
    x = torch.cat(batches).flatten(1).double().numpy()
    logits = x @ first.T @ second.T
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = (p - np.eye(3)[torch.cat(targets).numpy()]) / len(x)
    return second.T @ error.T @ x, error.T @ (x @ first.T)


def test_snip_and_grad_norm_of_a_linear_network(linear, matrices, batches, targets):
    gradients = by_hand(matrices, batches, targets)
    expected = sum(
        np.abs(weight * gradient).sum() for weight, gradient in zip(matrices, gradients, strict=True)
    )
    assert snip(linear, batches, targets) == pytest.approx(expected, rel=1e-5)
    norms = sum(np.linalg.norm(gradient) for gradient in gradients)
    assert grad_norm(linear, batches, targets) == pytest.approx(norms, rel=1e-5)


def test_synflow_is_the_product_of_absolute_weights(linear, matrices, batches):
    first, second = (np.abs(each) for each in matrices)
    paths = np.ones(3) @ second @ first @ np.ones(6)
    # Both layers carry the whole flow: it is counted once for each.
    assert synflow(linear, batches) == pytest.approx(2 * paths, rel=1e-12)


def test_synflow_of_convolutions_goes_through_batch_norm_in_eval_mode(batches):
    net = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, (1, 3), bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3)
        )
    )
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([-2.0, 3.0]))
        net[1].running_var.copy_(torch.tensor([4.0, 0.25]))
    kernel, head = (net[place].weight.detach().double().abs().numpy() for place in (0, 4))
    scale = np.array([2.0, 3.0]) / np.sqrt(np.array([4.0, 0.25]) + net[1].eps)
    # An image of ones gives both rows of a channel the same; two values per channel come to the head.
    through = np.repeat(kernel.sum((1, 2, 3)) * scale, 2) @ head.sum(0)
    assert synflow(net, batches) == pytest.approx(2 * through, rel=1e-12)


class Plain(nn.Module):
    """Activations that are no modules, one of them in place, and one on a table that is not of images."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 7), nn.Linear(7, 5)
        self.smooth = nn.GELU()
        self.table = nn.Parameter(torch.tensor([[1.0, -1.0, 2.0, 0.5, -3.0]]))

    def forward(self, x):
        x = F.relu(self.first(x.flatten(1)), inplace=True)
        return self.smooth(self.second(x)) + torch.relu(self.table)


@pytest.fixture(scope="module")
def plain():
    return seeded(Plain)


def codes(plain, images):
    x = images.flatten(1).double().numpy()
    layers = [
        (each.weight.detach().double().numpy(), each.bias.detach().double().numpy())
        for each in (plain.first, plain.second)
    ]
    one = x @ layers[0][0].T + layers[0][1]
    two = np.maximum(one, 0) @ layers[1][0].T + layers[1][1]
    return np.concatenate([one > 0, two > 0], axis=1)


def test_naswot_compares_the_signs_of_all_activations(plain, batches):
    expected = []
    for images in batches:
        signs = codes(plain, images)
        kernel = np.array([[signs.shape[1] - (a != b).sum() for b in signs] for a in signs])
        np.testing.assert_array_equal(sign_kernel(plain, images).numpy(), kernel)
        expected.append(np.log(np.linalg.det(kernel)))
    assert naswot(plain, batches) == pytest.approx(np.mean(expected), rel=1e-12)


def test_images_that_switch_everything_alike_are_told_apart_by_nothing(plain, batches):
    assert naswot(plain, [torch.cat([batches[0][:1], batches[0][:1]])]) == -math.inf


def test_windows_of_an_image_count_as_its_units(batches):
    class Windows(nn.Module):
        def forward(self, x):
            return F.relu(x.reshape(-1, 2)).reshape(len(x), -1)

    np.testing.assert_array_equal(
        sign_kernel(Windows(), batches[0]).numpy(), sign_kernel(nn.ReLU(), batches[0]).numpy()
    )


def test_jacov_is_of_the_correlations_of_image_gradients(batches):
    first, bias, second = (
        each.detach().double().numpy() for each in (smooth[1].weight, smooth[1].bias, smooth[3].weight)
    )
    expected = []
    for images in batches:
        hidden = np.tanh(images.flatten(1).double().numpy() @ first.T + bias)
        rows = ((1 - hidden**2) * second.sum(0)) @ first  # by the chain rule
        centred = rows - rows.mean(1, keepdims=True)
        centred /= np.linalg.norm(centred, axis=1, keepdims=True)
        values = np.linalg.svd(centred, compute_uv=False) ** 2  # eigenvalues of the Gram matrix
        expected.append(-np.sum(np.log(values + SMALL) + 1 / (values + SMALL)))
    assert jacov(smooth, batches) == pytest.approx(np.mean(expected), rel=1e-3)


smooth = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 3)))


def test_unlike_images_score_more_than_alike_ones(plain, batches):
    """The same network for five images, and for five that hardly differ: it tells the latter apart less."""
    alike = [batches[0][:1] + 0.05 * batches[0]]
    assert naswot(plain, batches[:1]) > naswot(plain, alike)
    assert jacov(smooth, batches[:1]) > jacov(smooth, alike)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("family", ["stitched_vits", "stitched_resnets"])
def test_nothing_of_a_stitch_changes(request, labelled, family, name):
    network = request.getfixturevalue(family)(SpaceOptions(sharing="none"))
    side = network.input_spec.size[-1]
    stitch = network.space[len(network.anchors) + 1]
    sub = network.extract(stitch)
    parts = list(sub.modules())
    parts[-1].train()  # modes of their own
    parameters = list(sub.parameters())
    parameters[0].requires_grad_(False)
    parameters[1].grad = torch.ones_like(parameters[1])
    before = {key: value.clone() for key, value in sub.state_dict().items()}
    modes = [part.training for part in parts]
    draws = torch.random.get_rng_state()
    images, labels = zip(*labelled(2, 6, side=side), strict=True)

    first, again = (SCORES[name](sub, images, labels) for _ in range(2))
    assert first == again
    assert math.isfinite(first)
    assert all(torch.equal(before[key], value) for key, value in sub.state_dict().items())
    assert [part.training for part in parts] == modes
    assert [each.requires_grad for each in parameters] == [False] + [True] * (len(parameters) - 1)
    assert [each.grad is not None for each in parameters] == [False, True] + [False] * (len(parameters) - 2)
    assert torch.equal(parameters[1].grad, torch.ones_like(parameters[1]))
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in parts)
    assert torch.equal(torch.random.get_rng_state(), draws)
    with torch.no_grad():  # nor does it matter where it is asked
        assert SCORES[name](sub, images, labels) == first


def test_what_cannot_be_scored_is_refused(linear, plain, batches, targets):
    with pytest.raises(StitchError, match=r"Unknown reassembly\.score 'naswit'\. Nearest: naswot"):
        ReassemblyConfig(score="naswit")
    for name, message in (
        ("naswot", "NASWOT saw no images"),
        ("jacov", "batches of two or more"),
        ("synflow", "the shape of an image"),
        ("snip", r"got batches of \[\] images and \[\] labels"),
        ("grad_norm", r"got batches of \[\] images and \[\] labels"),
    ):
        with pytest.raises(StitchError, match=message):
            SCORES[name](linear, [], [])
    with pytest.raises(StitchError, match="no activation such as ReLU"):
        naswot(linear, batches)
    with pytest.raises(StitchError, match="a label each"):
        snip(linear, batches, targets[:1])
    with pytest.raises(StitchError, match="not finite"):
        grad_norm(linear, [batches[0] * math.inf], targets[:1])
    with pytest.raises(StitchError, match="constant or not finite"):
        jacov(nn.Flatten(), batches[:1])
    large = nn.Sequential(*(nn.Linear(6, 6, bias=False) for _ in range(12)))
    with torch.no_grad():
        for layer in large:
            layer.weight.fill_(1e37)
    with pytest.raises(StitchError, match="too large for float64"):
        synflow(nn.Sequential(nn.Flatten(), large), batches)
