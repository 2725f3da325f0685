"""A network in float64, a batch, and the loss of some of its stitches."""

import copy

import pytest
import torch

from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.objectives.build import build_objective
from stitchable.training.options import TrainOptions


@pytest.fixture
def network(stitched_vits):
    return stitched_vits().double()


@pytest.fixture
def batch(labelled):
    ((images, labels),) = labelled(1, 12, seed=3)
    return images.double(), labels


@pytest.fixture
def loss(network, batch):
    """Loss of some stitches on the batch, after the anchors have moved away from their originals."""
    moved = copy.deepcopy(network)

    def run(*stitches, smoothing=0.0, **chosen):
        options = TrainOptions(objective=ObjectiveOptions(**chosen), label_smoothing=smoothing)
        objective = build_objective(network, options)
        with torch.no_grad():
            for number, parameter in enumerate(network.parameters()):
                noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
                parameter.add_(0.1 * noise)
        network.zero_grad()
        losses = objective(network, [network.space.stitch(each) for each in stitches], *batch, step=0)
        for anchor in objective.teachers.anchors.values():
            assert not anchor.training
            assert not any(parameter.requires_grad for parameter in anchor.parameters())
        return losses

    run.before = moved
    return run
