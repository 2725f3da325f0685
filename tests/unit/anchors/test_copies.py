import copy

import pytest
import torch
from torch import nn

from stitchable.anchors.copies import holding_only, on_meta


class Tree(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.last = nn.Linear(3, 2)
        self.last.weight = nn.Parameter(self.last.weight, requires_grad=False)
        self.scale = nn.Parameter(torch.ones(3))
        self.register_buffer("shift", torch.zeros(3))
        self.nothing = None

    def forward(self, x):
        return self.last(self.first(x * self.scale + self.shift))


@pytest.fixture
def tree():
    return Tree()


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_meta_twin_has_the_shapes_and_no_data(tree):
    before = state(tree)
    twin = on_meta(tree)
    tensors = twin.state_dict()
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        name: tensor.shape for name, tensor in before.items()
    }
    assert {tensor.device.type for tensor in tensors.values()} == {"meta"}
    assert twin(torch.empty(4, 3, device="meta")).shape == (4, 2)
    assert not any(module.training for module in twin.modules())
    assert not any(parameter.requires_grad for parameter in twin.parameters())


def test_meta_twin_leaves_the_model_alone(tree):
    before = state(tree)
    on_meta(tree)
    assert same(state(tree), before)
    assert tree.training
    assert {tensor.device.type for tensor in tree.state_dict().values()} == {"cpu"}
    assert [p.requires_grad for p in tree.last.parameters()] == [False, True]


def test_meta_twin_keeps_parameters_tied(tree):
    tree.first[0].weight = nn.Parameter(torch.ones(2, 3))
    tree.last.weight = tree.first[0].weight
    twin = on_meta(tree)
    assert twin.last.weight is twin.first[0].weight


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["last"], {"last.weight", "last.bias"}),
        (["first.0"], {"first.0.weight", "first.0.bias"}),
        (["scale", "shift"], {"scale", "shift"}),
        (["last.bias"], {"last.bias"}),
        ([], set()),
    ],
)
def test_a_part_holds_what_is_named_under_its_old_names(tree, names, expected):
    before = state(tree)
    part = holding_only(tree, names)
    assert type(part) is Tree
    assert part.state_dict().keys() == expected
    assert same(part.state_dict(), {name: before[name] for name in expected})
    assert same(state(tree), before)


def test_everything_named_is_the_whole_model(tree):
    tree.eval()
    whole = holding_only(tree, ["first", "last", "scale", "shift"])
    x = torch.randn(4, 3)
    assert torch.equal(whole(x), tree(x))
    assert whole.nothing is None


def test_what_is_not_held_cannot_be_run(tree):
    part = holding_only(tree, ["first", "scale", "shift"])
    assert isinstance(part.last, nn.Identity)
    assert part.eval()(torch.zeros(1, 3)).shape == (1, 3)
    with pytest.raises(TypeError):
        holding_only(tree, ["first", "last"])(torch.zeros(1, 3))  # the scale is None


def test_parts_share_no_memory_with_the_model(tree):
    part = holding_only(tree, ["last", "scale", "shift", "first.1"])
    before = state(tree)
    with torch.no_grad():
        for tensor in part.state_dict().values():
            tensor.fill_(7)
    assert same(state(tree), before)
    part.register_forward_hook(lambda *_: None)
    part.first.train(False)
    assert not tree._forward_hooks
    assert tree.first.training


def test_a_whole_copy_keeps_flags_and_hooks(tree):
    calls = []
    tree.last.register_forward_hook(lambda *_: calls.append("last"))
    part = holding_only(tree, ["last"])
    part.last(torch.zeros(1, 3))
    assert calls == ["last"]
    assert not part.last.weight.requires_grad
    assert copy.deepcopy(part).state_dict().keys() == part.state_dict().keys()
