import pytest
from torch import nn

from stitchable.modes import evaluating


def mixed():
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)))
    module[1].eval()
    module[1][0].train()
    return module, [part.training for part in module.modules()]


def test_every_part_gets_its_own_mode_back():
    module, before = mixed()
    with evaluating(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == before


def test_also_after_an_error():
    module, before = mixed()

    def fail():
        with evaluating(module):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [part.training for part in module.modules()] == before
