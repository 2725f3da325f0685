import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from stitchable.similarity.procrustes import procrustes


def normalised(x, width):
    x = (x - x.mean(0)).numpy()
    return np.pad(x / np.linalg.norm(x), ((0, 0), (0, width - x.shape[1])))


@pytest.mark.parametrize("widths", [(6, 9), (9, 6), (5, 5)])
def test_it_is_what_the_best_rotation_leaves(alike, widths):
    x, y = alike(40, *widths)
    a, b = (normalised(each, max(widths)) for each in (x, y))
    rotation, _ = orthogonal_procrustes(a, b)
    distance = np.linalg.norm(a @ rotation - b)
    assert procrustes(x, y) == pytest.approx(1 - distance**2 / 2, abs=1e-10)


def test_what_does_not_vary_is_like_nothing(normal):
    x = normal(40, 5)
    assert procrustes(x, x) == pytest.approx(1)
    assert procrustes(x, torch.full((40, 2), 0.1)) == 0
