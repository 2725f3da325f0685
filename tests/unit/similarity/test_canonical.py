import numpy as np
import pytest
import torch
from repsim import cca as repsim_cca
from repsim import pwcca as repsim_pwcca
from scipy.linalg import subspace_angles

from stitchable.similarity.canonical import cca, pwcca, svcca


def correlations(x, y):
    """By the angles between column spaces; scipy orders them from the largest."""
    return np.cos(subspace_angles(*((each - each.mean(0)).numpy() for each in (x, y))))[::-1]


def leading(x):
    """Projections on the principal axes that hold 99 % of the variance, from numpy's SVD."""
    left, values, _ = np.linalg.svd((x - x.mean(0)).numpy(), full_matrices=False)
    shares = np.cumsum(values**2) / (values**2).sum()
    return torch.tensor(left[:, : np.searchsorted(shares, 0.99) + 1])


@pytest.mark.parametrize("widths", [(6, 9), (9, 6), (5, 5)])
def test_cca_is_the_mean_cosine_of_the_angles_between_the_features(alike, widths):
    x, y = alike(70, *widths)
    assert cca(x, y) == pytest.approx(correlations(x, y).mean(), abs=1e-10)
    found = repsim_cca([x.numpy(), y.numpy()], "pillai")[0, 1]  # which is their mean, whatever its name
    assert cca(x, y) == pytest.approx(found, abs=1e-10)


def test_svcca_is_cca_of_what_holds_the_variance(alike):
    x, y = alike(70, 8, 12)
    assert leading(x).shape[1] < 8
    assert svcca(x, y) == pytest.approx(correlations(leading(x), leading(y)).mean(), abs=1e-10)
    assert abs(svcca(x, y) - cca(x, y)) > 0.001


def test_pwcca_weights_by_what_canonical_variables_account_for(alike):
    x, y = alike(70, 6, 9)
    a, b = (np.linalg.qr((each - each.mean(0)).numpy())[0] for each in (x, y))
    left, found, _ = np.linalg.svd(a.T @ b, full_matrices=False)
    weights = np.abs((a @ left).T @ (x - x.mean(0)).numpy()).sum(1)
    assert pwcca(x, y) == pytest.approx((weights * found).sum() / weights.sum(), abs=1e-10)
    both = repsim_pwcca([x.numpy(), y.numpy()])[0, 1]  # the mean of both directions
    assert (pwcca(x, y) + pwcca(y, x)) / 2 == pytest.approx(both, abs=1e-10)
    assert abs(pwcca(x, y) - pwcca(y, x)) > 0.01


@pytest.mark.parametrize("measure", [cca, svcca, pwcca])
def test_dead_and_copied_channels_change_nothing(alike, measure):
    x, y = alike(70, 6, 9)
    dead = torch.cat([x, torch.full((70, 2), 0.1), x[:, :3] - 2 * x[:, 3:]], 1)
    assert cca(dead, y) == pytest.approx(cca(x, y), abs=1e-9)
    assert measure(dead, dead) == pytest.approx(1, abs=1e-9)
    assert measure(x, torch.full((70, 2), 0.1)) == 0
    assert measure(torch.full((70, 2), 0.1), x) == 0


def test_with_no_more_rows_than_channels_everything_is_alike(normal):
    """What the docstrings warn of."""
    assert cca(normal(10, 12), normal(10, 11, seed=1)) == pytest.approx(1, abs=1e-6)
