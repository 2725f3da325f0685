"""A twin computes what a copy with other values would, and follows its original in everything else."""

import copy

import pytest
import torch
from torch import nn

from stitchable.anchors.twin import original_of, twin_of


class Tree(nn.Module):
    """A branch that is called by two names and through a bound method, a tied vector, a frozen norm."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.again = self.first
        self.last = nn.Linear(3, 3)
        self.last.bias = self.first[0].bias
        self.norm = nn.LayerNorm(3)
        self.scale = nn.Parameter(torch.ones(3))
        self.call = self.scaled

    def scaled(self, x):
        return x * self.scale

    def forward(self, x):
        return self.last(self.norm(self.again(self.first(self.call(x)))))


@pytest.fixture
def tree():
    return Tree().double()


@pytest.fixture
def x():
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double()


def own(model, *names):
    """Parameters of other values."""
    return {
        name: nn.Parameter(torch.linspace(-1, 2, 3, dtype=torch.float64) * (2 + number))
        for number, name in enumerate(names)
    }


@pytest.mark.parametrize(
    "names",
    [
        ("first.1.weight",),
        ("norm.weight", "norm.bias"),
        ("first.0.bias",),
        ("scale",),
        ("scale", "first.1.bias", "norm.bias"),
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [False, True])
def test_it_computes_what_a_copy_with_these_values_does(tree, x, names, training):
    tree.train(training)
    values = own(tree, *names)
    expected = copy.deepcopy(tree)
    with torch.no_grad():
        for name, value in values.items():
            expected.get_parameter(name).copy_(value)
    before, twin = copy.deepcopy(tree), twin_of(tree, values)
    y = twin(x)
    assert torch.equal(y, expected(x))
    assert not torch.equal(y, before(x))
    y.sum().backward()
    assert all(each.grad is not None for each in values.values())
    replaced = {id(tree.get_parameter(name)) for name in names}
    assert all((each.grad is None) == (id(each) in replaced) for each in tree.parameters())


def test_all_else_is_the_original_s(tree, x):
    twin = twin_of(tree, own(tree, "norm.weight"))
    assert isinstance(twin, Tree)
    assert isinstance(twin.norm, nn.LayerNorm)
    assert twin.first is tree.first
    assert twin.norm is not tree.norm
    assert twin.norm.bias is tree.norm.bias
    assert original_of(twin) is tree
    assert original_of(twin.norm) is tree.norm
    assert original_of(tree.norm) is tree.norm
    assert "training" not in twin.state_dict()
    assert twin.state_dict().keys() == tree.state_dict().keys()


def test_modes_and_statistics_and_hooks_are_the_original_s(tree, x):
    twin = twin_of(tree, own(tree, "first.1.weight"))
    norm, called = tree.first[1], []
    for training in (True, False):
        tree.train()
        norm.train(training)
        assert twin.training
        assert twin.first[1].training is training
    norm.train()
    before = norm.running_mean.clone()
    twin(x)
    assert not torch.equal(norm.running_mean, before)
    norm.running_mean = before
    assert twin.first[1].running_mean is before
    norm.register_forward_hook(lambda module, *_: called.append(module))
    twin(x)
    assert called == [twin.first[1]] * 2
    assert called[0] is not norm


def test_a_copy_of_both_is_a_pair_of_its_own(tree, x):
    pair = {"model": tree, "twin": twin_of(tree, own(tree, "first.1.weight"))}
    copied = copy.deepcopy(pair)
    assert original_of(copied["twin"]) is copied["model"]
    assert copied["twin"].norm is copied["model"].norm
    tree.eval()
    expected = pair["twin"](x)
    with torch.no_grad():
        copied["model"].norm.weight.mul_(3)
        copied["twin"].first[1].weight.mul_(3)
    assert torch.equal(pair["twin"](x), expected)
    assert copied["twin"].training
    copied["model"].eval()
    assert not torch.equal(copied["twin"](x), expected)
