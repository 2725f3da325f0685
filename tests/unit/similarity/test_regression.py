import numpy as np
import pytest
import torch

from stitchable.initialization.least_squares import LeastSquares
from stitchable.similarity.regression import linear_r2


def by_lstsq(x, y):
    """Definition 6.1, by numpy's solver."""
    a, b = ((each - each.mean(0)).numpy() for each in (x, y))
    solution, *_ = np.linalg.lstsq(a, b, rcond=1e-7)
    return 1 - np.linalg.norm(a @ solution - b) ** 2 / np.linalg.norm(b) ** 2


@pytest.mark.parametrize("widths", [(6, 9), (9, 6)])
def test_it_is_what_least_squares_explains(alike, widths):
    x, y = alike(40, *widths)
    assert linear_r2(x, y) == pytest.approx(by_lstsq(x, y), abs=1e-10)
    assert abs(linear_r2(x, y) - linear_r2(y, x)) > 0.01


def test_it_is_the_r2_that_stitching_layers_report(alike):
    x, y = alike(40, 6, 9)
    fit = LeastSquares(6, 9)
    fit.update(x, y)
    assert linear_r2(x, y) == pytest.approx(fit.solve().r2, abs=1e-10)


def test_channels_that_depend_on_each_other_are_no_trouble(alike):
    x, y = alike(40, 6, 9)
    double = torch.cat([x, x[:, :2] + x[:, 2:4], torch.full((40, 1), 0.1)], 1)
    assert linear_r2(double, y) == pytest.approx(by_lstsq(double, y), abs=1e-9)
    assert linear_r2(x, x) == pytest.approx(1)
    assert linear_r2(x, torch.full((40, 2), 0.1)) == 0
    assert linear_r2(torch.full((40, 2), 0.1), x) == 0
