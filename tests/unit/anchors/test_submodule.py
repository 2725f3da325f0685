"""The part that calls one submodule, however the submodule is reached."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from stitchable.anchors.split import submodule


class Wrapped(nn.Module):
    """Hands on attributes it does not have, as compiled modules do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inside = model

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inside"), name)


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Linear(3, 2))


def test_a_nested_submodule_runs(model: nn.Sequential) -> None:
    x = torch.rand(2, 3)
    assert torch.equal(submodule("0.0").run(model, x), model[0][0](x))


def test_the_model_given_runs_not_the_one_seen_first(model: nn.Sequential) -> None:
    part, x = submodule("0.0"), torch.rand(2, 3)
    part.run(model, x)
    other = copy.deepcopy(model)
    nn.init.zeros_(other[0][0].weight)
    assert torch.equal(part.run(other, x), other[0][0].bias.expand(2, 3))


def test_a_replaced_submodule_runs(model: nn.Sequential) -> None:
    part, x = submodule("0.0"), torch.rand(2, 3)
    part.run(model, x)
    model[0][0] = nn.Identity()
    assert torch.equal(part.run(model, x), x)


def test_hooks_of_the_submodule_run(model: nn.Sequential) -> None:
    seen: list[torch.Size] = []
    model[0][0].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    submodule("0.0").run(model, torch.rand(2, 3))
    assert seen == [(2, 3)]


def test_a_wrapper_that_hands_on_attributes_will_do(model: nn.Sequential) -> None:
    x = torch.rand(2, 3)
    assert torch.equal(submodule("0.0").run(Wrapped(model), x), model[0][0](x))


def test_a_missing_submodule_is_an_attribute_error(model: nn.Sequential) -> None:
    with pytest.raises(AttributeError, match="'7'"):
        submodule("0.7").run(model, torch.rand(2, 3))
