import pytest
import torch

from stitchable.errors import StitchError
from stitchable.similarity.cka import linear_cka


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hsic_1(k, m):
    """The estimator as Song et al. write it, with kernels of rows by rows whose diagonals are zero."""
    n, one = len(k), torch.ones(len(k), dtype=torch.float64)
    k, m = k - torch.diag(k.diagonal()), m - torch.diag(m.diagonal())
    both = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (torch.trace(k @ m) + both - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


@pytest.mark.parametrize(("rows", "widths"), [(4, (2, 3)), (9, (20, 5)), (60, (7, 7))])
def test_it_is_the_estimator_by_kernels(rows, widths):
    x = 3 + normal(rows, widths[0])
    y = normal(rows, widths[1], seed=1) - 5
    y[:, :2] += x[:, :2]
    k, m = x @ x.T, y @ y.T  # not centred: the estimator does not mind
    expected = hsic_1(k, m) / (hsic_1(k, k) * hsic_1(m, m)).abs().sqrt()
    if hsic_1(k, k) * hsic_1(m, m) > 0:
        assert linear_cka(x, y) == pytest.approx(float(expected), rel=1e-8)


def test_few_rows_of_unrelated_features_look_unrelated():
    """The usual estimate would be near 1 here: there are fewer rows than channels."""
    found = [linear_cka(normal(30, 100, seed=seed), normal(30, 100, seed=seed + 500)) for seed in range(40)]
    assert abs(sum(found) / len(found)) < 0.03
    x, y = normal(30, 100), normal(30, 100, seed=500)
    x, y = x - x.mean(0), y - y.mean(0)
    assert (x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()) > 0.7


def test_rotation_and_scale_do_not_change_it_and_a_channel_more_does():
    x, y = normal(50, 6), normal(50, 4, seed=1)
    y += x[:, :4]
    turn, _ = torch.linalg.qr(normal(6, 6, seed=2))
    assert linear_cka(3 * x @ turn + 1, y) == pytest.approx(linear_cka(x, y), rel=1e-9)
    assert linear_cka(x, x) == pytest.approx(1)
    assert linear_cka(x, torch.ones(50, 3)) == 0


def test_too_few_or_unequal_rows_are_refused():
    with pytest.raises(StitchError, match="at least 4"):
        linear_cka(normal(3, 2), normal(3, 2))
    with pytest.raises(StitchError, match="got 5 and 6"):
        linear_cka(normal(5, 2), normal(6, 2))
