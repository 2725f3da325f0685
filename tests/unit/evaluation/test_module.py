import pytest
import torch
from torch import nn

from stitchable.errors import StitchError
from stitchable.evaluation.module import tally_module


class Table(nn.Module):
    """Gives the logits that its images hold; changes nothing, but is in training mode."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        assert not self.training
        return self.scale * x


def test_a_model_is_counted_by_hand():
    # Two classes at logits 0 and d: the loss of the right one is ln(1 + e^−d), of the wrong one ln(1 + e^d).
    batches = [
        (torch.tensor([[0.0, 3.0], [2.0, 0.0]]), torch.tensor([1, 1])),
        (torch.tensor([[1.0, 0.0]]), torch.tensor([0])),
    ]
    module = Table()
    found = tally_module(module, batches)
    assert (found.correct, found.images) == (2, 3)
    expected = torch.tensor([-3.0, 2.0, -1.0]).double().exp().log1p().sum().item()
    assert found.loss == pytest.approx(expected, rel=1e-12)
    assert module.training


def test_no_images_are_no_measurement():
    with pytest.raises(StitchError, match="no images to measure"):
        tally_module(Table(), [])
