import pytest
import torch
from ckatorch import cka_base, cka_batch
from repsim import cka as repsim_cka

from stitchable.errors import StitchError
from stitchable.similarity.cka import biased_linear_cka, linear_cka, minibatch_cka


def hsic_1(k, m):
    """The estimator as Song et al. write it, with kernels of rows by rows whose diagonals are zero."""
    n, one = len(k), torch.ones(len(k), dtype=torch.float64)
    k, m = k - torch.diag(k.diagonal()), m - torch.diag(m.diagonal())
    both = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (torch.trace(k @ m) + both - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


@pytest.mark.parametrize(("rows", "widths"), [(4, (2, 3)), (9, (20, 5)), (60, (7, 7))])
def test_it_is_the_estimator_by_kernels(normal, rows, widths):
    x = 3 + normal(rows, widths[0])
    y = normal(rows, widths[1], seed=1) - 5
    y[:, :2] += x[:, :2]
    k, m = x @ x.T, y @ y.T  # not centred: the estimator does not mind
    expected = hsic_1(k, m) / (hsic_1(k, k) * hsic_1(m, m)).sqrt()
    assert linear_cka(x, y) == pytest.approx(float(expected), rel=1e-8)
    assert minibatch_cka([(x, y)]) == pytest.approx(float(expected), rel=1e-8)


def test_ckatorch_finds_the_same(alike):
    """Its ``method="hsic"`` ignores ``unbiased`` and gives the biased value; the default one does not."""
    x, y = alike(30, 8, 40)
    assert linear_cka(x, y) == pytest.approx(float(cka_base(x, y, unbiased=True)), abs=1e-10)
    assert biased_linear_cka(x, y) == pytest.approx(float(cka_base(x, y)), abs=1e-10)
    silent = float(cka_base(x, y, unbiased=True, method="hsic"))
    assert silent == pytest.approx(biased_linear_cka(x, y), abs=1e-10)
    assert abs(silent - linear_cka(x, y)) > 0.01


def test_repsim_finds_the_same(alike):
    x, y = alike(30, 8, 12)
    found = repsim_cka([x.numpy(), y.numpy()], "linear", "gretton")[0, 1]
    assert biased_linear_cka(x, y) == pytest.approx(found, abs=1e-10)


def test_mini_batches_are_those_of_ckatorch_where_they_are_equally_large(alike):
    x, y = alike(36, 8, 20)
    pairs = list(zip(x.split(9), y.split(9), strict=True))
    expected = float(cka_batch(x.reshape(4, 9, 8), y.reshape(4, 9, 20)))
    assert minibatch_cka(pairs) == pytest.approx(expected, abs=1e-10)
    assert minibatch_cka([*pairs, (x[:3], y[:3])]) == minibatch_cka(pairs)  # too short to count


def test_mini_batches_count_by_their_rows(alike):
    x, y = alike(25, 4, 5)
    sizes = [12, 8, 5]

    def summed(a, b):
        parts = zip(a.split(sizes), b.split(sizes), strict=True)
        return sum(len(s) * hsic_1(s @ s.T, t @ t.T) for s, t in parts)

    expected = summed(x, y) / (summed(x, x) * summed(y, y)).sqrt()
    found = minibatch_cka(zip(x.split(sizes), y.split(sizes), strict=True))
    assert found == pytest.approx(float(expected), abs=1e-10)


def test_few_rows_of_unrelated_features_look_unrelated(normal):
    """The usual estimate is near 1 here: there are fewer rows than channels. The project's own figures."""
    pairs = [(normal(64, 384, seed=seed), normal(64, 384, seed=seed + 500)) for seed in range(10)]
    assert abs(sum(linear_cka(x, y) for x, y in pairs) / 10) < 0.03
    assert abs(minibatch_cka(pairs)) < 0.03
    assert sum(biased_linear_cka(x, y) for x, y in pairs) / 10 == pytest.approx(0.861, abs=0.006)


def test_what_does_not_vary_is_like_nothing(normal):
    x = normal(50, 6)
    for measure in (linear_cka, biased_linear_cka):
        assert measure(x, x) == pytest.approx(1)
        assert measure(x, torch.full((50, 3), 0.1)) == 0  # whose mean is not exactly 0.1
    assert minibatch_cka([(x, torch.full((50, 3), 0.1))]) == 0


def test_what_cannot_be_compared_is_refused(normal):
    with pytest.raises(StitchError, match="at least 4"):
        linear_cka(normal(3, 2), normal(3, 2))
    with pytest.raises(StitchError, match="got 5 and 6"):
        linear_cka(normal(5, 2), normal(6, 2))
    with pytest.raises(StitchError, match="not finite"):
        linear_cka(normal(5, 2) / 0, normal(5, 2))
    with pytest.raises(StitchError, match=r"matrices of rows; got shapes \(5, 2, 3\)"):
        biased_linear_cka(normal(5, 2, 3), normal(5, 2))
    with pytest.raises(StitchError, match="batches of at least 4 rows"):
        minibatch_cka([(normal(3, 2), normal(3, 2))])
