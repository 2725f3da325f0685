import pytest
import torch
from ckatorch import center_gram_matrix, hsic1
from ckatorch import rbf_kernel as ckatorch_rbf
from scipy.spatial.distance import pdist, squareform

from stitchable.errors import StitchError
from stitchable.similarity.kernels import rbf_kernel
from stitchable.similarity.rbf import rbf_cka


def by_distances(x, fraction):
    distances = pdist(x.numpy())
    median = sorted(distances)[(len(distances) - 1) // 2]
    return torch.exp(-(torch.tensor(squareform(distances)) ** 2) / (2 * (fraction * median) ** 2))


@pytest.mark.parametrize("fraction", [0.4, 0.8])
def test_the_kernel_is_a_gaussian_of_distances_in_medians(alike, fraction):
    x, _ = alike(15, 6, 4)
    torch.testing.assert_close(rbf_kernel(x, fraction=fraction), by_distances(x, fraction))


def test_the_unbiased_one_is_hsic_1_of_ckatorch(alike):
    x, y = alike(31, 6, 40)
    k, m = by_distances(x, 0.8)[None], by_distances(y, 0.8)[None]
    expected = hsic1(k, m) / (hsic1(k, k) * hsic1(m, m)).sqrt()
    assert rbf_cka(x, y) == pytest.approx(float(expected), abs=1e-10)


@pytest.mark.parametrize("biased", [True, False])
def test_ckatorch_finds_the_same_at_its_own_bandwidths(alike, biased):
    """Its median is over all entries of a kernel, the zeros of the diagonal too."""

    def kernel(x):
        squares = torch.tensor(squareform(pdist(x.numpy()))) ** 2
        others = squares[tuple(torch.triu_indices(31, 31, 1))]
        threshold = float(0.4 * (others.median() / squares.median()).sqrt())
        return center_gram_matrix(ckatorch_rbf(x, threshold), unbiased=not biased)

    x, y = alike(31, 6, 4)
    k, m = kernel(x), kernel(y)
    expected = (k * m).sum() / (k.norm() * m.norm())
    assert rbf_cka(x, y, fraction=0.4, biased=biased) == pytest.approx(float(expected), abs=1e-10)


def test_unrelated_features_look_unrelated_only_without_bias(normal):
    pairs = [(normal(64, 384, seed=seed), normal(64, 384, seed=seed + 500)) for seed in range(10)]
    assert abs(sum(rbf_cka(x, y) for x, y in pairs) / 10) < 0.03
    assert min(rbf_cka(x, y, biased=True) for x, y in pairs) > 0.8


def test_what_does_not_vary_is_like_nothing(normal):
    x = normal(20, 3)
    assert rbf_cka(x, torch.full((20, 3), 0.1)) == 0
    assert rbf_cka(x, torch.full((20, 3), 0.1), biased=True) == 0


def test_rows_that_are_mostly_equal_have_a_kernel(normal):
    x = torch.zeros(9, 2)
    x[-1] = 5
    expected = torch.ones(9, 9, dtype=torch.float64)
    expected[-1, :-1] = expected[:-1, -1] = 0
    torch.testing.assert_close(rbf_kernel(x), expected)


def test_too_few_rows_are_refused(normal):
    with pytest.raises(StitchError, match="at least 4"):
        rbf_cka(normal(3, 2), normal(3, 2))
