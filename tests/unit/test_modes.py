import pytest
from torch import nn

from stitchable.modes import evaluating


def network():
    """A module used twice, a frozen BatchNorm inside training parts, and an eval part with training ones."""
    shared = nn.Linear(2, 2)
    inner = nn.Sequential(shared, nn.BatchNorm1d(2), nn.Dropout())
    outer = nn.Sequential(inner, shared, nn.Sequential(nn.Dropout()))
    inner[1].training = False
    outer[2].training = False
    return outer


def modes(module):
    return [part.training for part in module.modules()]


def test_everything_is_in_eval_mode_inside_and_as_before_afterwards():
    outer = network()
    before = modes(outer)
    assert any(before)
    assert not all(before)
    with evaluating(outer):
        assert not any(modes(outer))
    assert modes(outer) == before


def test_modes_come_back_after_an_error():
    outer = network()
    before = modes(outer)
    with pytest.raises(ZeroDivisionError), evaluating(outer):
        raise ZeroDivisionError
    assert modes(outer) == before


def test_what_is_changed_inside_is_put_back_too():
    outer = network()
    before = modes(outer)
    with evaluating(outer), evaluating(outer):
        outer.train()
    assert modes(outer) == before


def test_parts_with_a_train_of_their_own_are_put_back():
    class Frozen(nn.Module):
        """Like the backbones that refuse to leave eval mode."""

        def train(self, mode=True):
            return super().train(False)

    frozen = Frozen()
    frozen.training = True
    with evaluating(nn.Sequential(frozen)):
        assert not frozen.training
    assert frozen.training
