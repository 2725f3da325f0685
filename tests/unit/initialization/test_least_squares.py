import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.initialization.least_squares import LARGEST_SCALE, LeastSquares


def relative(got, expected):
    got = got.numpy() if isinstance(got, torch.Tensor) else got
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def affine(x, y):
    """Weight and bias by numpy's solver on [X 1], in float64; columns scaled to 1 for its own sake."""
    scale = np.abs(x).max(0)
    solution = np.linalg.lstsq(np.c_[x / scale, np.ones(len(x))], y, rcond=None)[0]
    return (solution[:-1] / scale[:, None]).T, solution[-1]


def seen(x, y, cuts=()):
    """Statistics of the rows, in batches that begin at ``cuts``."""
    statistics = LeastSquares(x.shape[1], y.shape[1])
    for start, stop in zip((0, *cuts), (*cuts, len(x)), strict=True):
        statistics.update(torch.from_numpy(x[start:stop]), torch.from_numpy(y[start:stop]))
    return statistics


@st.composite
def problems(draw):
    """Noisy affine problems: any shape with rows enough, any offset and scale of the columns."""
    width, end = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    count = draw(st.integers(3 * width + 3, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = 10.0 ** rng.uniform(-1, 1, width) * draw(st.sampled_from([1e-4, 1.0, 1e4]))
    offset = draw(st.sampled_from([0.0, 1.0, 100.0]))
    x = (rng.normal(size=(count, width)) + offset * rng.normal(size=width)) * scale
    y = x @ rng.normal(size=(width, end)) / scale.mean() + rng.normal(size=(count, end)) + offset
    return x, y


@st.composite
def batched(draw):
    x, y = draw(problems())
    cuts = draw(st.lists(st.integers(0, len(x)), max_size=8))
    return x, y, sorted(cuts)


@given(batched())
@settings(deadline=None, max_examples=200)
def test_equals_numpy_for_any_shape_scale_and_batching(problem):
    x, y, cuts = problem
    fit = seen(x, y, cuts).solve()
    weight, bias = affine(x, y)
    assert fit.weight.dtype == fit.bias.dtype == torch.float64
    assert (fit.weight.shape, fit.bias.shape) == ((y.shape[1], x.shape[1]), (y.shape[1],))
    spread = x.std(0)  # what a weight's column counts for
    assert relative(fit.weight.numpy() * spread, weight * spread) < 1e-10
    predicted = x @ weight.T + bias
    assert relative(x @ fit.weight.numpy().T + fit.bias.numpy(), predicted) < 1e-10
    assert fit.rows == len(x)


@given(problems(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_merges_to_the_same_in_any_order(problem, random):
    x, y = problem
    cuts = sorted(random.sample(range(len(x) + 1), 4))
    parts = [
        seen(x[start:stop], y[start:stop]) for start, stop in zip((0, *cuts), (*cuts, len(x)), strict=True)
    ]
    random.shuffle(parts)
    total = LeastSquares(x.shape[1], y.shape[1])
    for part in parts:
        total.merge(part)
    fit = total.solve()
    weight, bias = affine(x, y)
    spread = x.std(0)
    assert relative(fit.weight.numpy() * spread, weight * spread) < 1e-10
    assert relative(x @ fit.weight.numpy().T + fit.bias.numpy(), x @ weight.T + bias) < 1e-10
    assert fit.rows == len(x)


def test_merging_leaves_the_other_as_it_was():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    other, total = seen(x, y), LeastSquares(3, 2)
    before = other.solve()
    total.merge(other)
    total.merge(seen(x + 1, y))
    after = other.solve()
    assert torch.equal(before.weight, after.weight)
    assert torch.equal(before.bias, after.bias)
    assert other.rows == 20


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_float32_rows_are_summed_in_float64(offset):
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(5000, 8)) + offset).astype(np.float32)
    y = (x @ rng.normal(size=(8, 4)) + rng.normal(size=(5000, 4))).astype(np.float32)
    fit = seen(x, y, range(64, 5000, 64)).solve()
    weight, bias = affine(x.astype(np.float64), y.astype(np.float64))
    assert relative(fit.weight, weight) < 1e-10
    assert relative(fit.bias, bias) < 1e-10


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rows_are_taken_exactly(dtype):
    generator = torch.Generator().manual_seed(2)
    x, y = (torch.randn(40, width, generator=generator).to(dtype) for width in (3, 2))
    statistics = LeastSquares(3, 2)
    statistics.update(x, y)
    weight, _ = affine(x.double().numpy(), y.double().numpy())
    assert relative(statistics.solve().weight, weight) < 1e-10


@given(problems(), st.sampled_from([1e-6, 1e-2, 1.0, 50.0]))
@settings(deadline=None, max_examples=100)
def test_ridge_equals_augmented_rows(problem, ridge):
    x, y = problem
    fit = seen(x, y).solve(ridge=ridge)
    centred, target = x - x.mean(0), y - y.mean(0)
    strength = ridge * np.square(centred).sum() / x.shape[1]
    rows = np.r_[centred, np.sqrt(strength) * np.eye(x.shape[1])]
    expected = np.linalg.lstsq(rows, np.r_[target, np.zeros((x.shape[1], y.shape[1]))], rcond=None)[0]
    assert relative(centred @ fit.weight.numpy().T, centred @ expected) < 1e-10
    assert relative(fit.bias.numpy() + fit.weight.numpy() @ x.mean(0), y.mean(0)) < 1e-10


@pytest.mark.parametrize("offset", [0.0, 1.0, 10.0, 1000.0])
@pytest.mark.parametrize(("width", "rank"), [(2, 1), (8, 3), (24, 10), (24, 23)])
def test_rank_deficient_rows_give_the_solution_of_least_norm(width, rank, offset):
    rng = np.random.default_rng(width + rank)
    x = rng.normal(size=(200, rank)) @ rng.normal(size=(rank, width)) + offset * rng.normal(size=width)
    y = rng.normal(size=(200, 5)) + x[:, :1]
    fit = seen(x, y, (17, 90)).solve()
    # The cut-off of the oracle lies far above the rounding of x and far below its real spread.
    expected = np.linalg.pinv(x - x.mean(0), rcond=1e-9) @ (y - y.mean(0))
    assert relative(fit.weight, expected.T) < 1e-10
    assert relative(fit.bias, y.mean(0) - x.mean(0) @ expected) < 1e-10


def test_constant_columns_get_no_weight():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    x[:, 1] = 0.1  # has no exact mean in binary
    fit = seen(x, y, (7,)).solve()
    expected, bias = affine(np.delete(x, 1, axis=1), y)
    assert fit.weight[:, 1].abs().max() < 1e-10
    assert relative(np.delete(fit.weight.numpy(), 1, axis=1), expected) < 1e-10
    assert relative(fit.bias, bias) < 1e-10


def test_rows_that_never_vary_give_the_mean_of_the_targets():
    rng = np.random.default_rng(4)
    y = rng.normal(size=(30, 2))
    fit = seen(np.full((30, 3), 1234.567), y, (11, 12)).solve()
    assert fit.weight.abs().max() == 0
    np.testing.assert_allclose(fit.bias, y.mean(0), rtol=1e-12)
    assert fit.r2 == 0


@given(batched())
@settings(deadline=None, max_examples=100)
def test_r2_is_one_minus_the_residual_share(problem):
    x, y, cuts = problem
    fit = seen(x, y, cuts).solve()
    weight, bias = affine(x, y)
    residual = np.square(y - x @ weight.T - bias).sum()
    assert fit.r2 == pytest.approx(1 - residual / np.square(y - y.mean(0)).sum(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("ridge", [0.1, 10.0])
def test_r2_of_a_ridge_solution_is_that_of_its_own_residual(ridge):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 4)) + 3
    y = x @ rng.normal(size=(4, 2)) + rng.normal(size=(60, 2))
    fit = seen(x, y).solve(ridge=ridge)
    residual = np.square(y - x @ fit.weight.numpy().T - fit.bias.numpy()).sum()
    assert fit.r2 == pytest.approx(1 - residual / np.square(y - y.mean(0)).sum(), rel=1e-10)
    assert fit.r2 < seen(x, y).solve().r2


@pytest.mark.parametrize("constant", [0.0, 0.1, 7.7, -1000.1])
def test_constant_targets_are_met_perfectly(constant):
    rng = np.random.default_rng(6)
    x = rng.normal(size=(100, 3)) + 5
    fit = seen(x, np.full((100, 2), constant), (33, 34)).solve()
    assert fit.r2 == 1
    np.testing.assert_allclose(x @ fit.weight.numpy().T + fit.bias.numpy(), constant, atol=1e-9)


def test_exact_and_unrelated_targets_have_r2_one_and_nearly_zero():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(5000, 3))
    assert seen(x, x @ rng.normal(size=(3, 2)) + 4).solve().r2 == pytest.approx(1, abs=1e-12)
    assert 0 <= seen(x, rng.normal(size=(5000, 2))).solve().r2 < 0.01


def test_too_few_rows_are_refused_unless_there_is_a_ridge():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(4, 4)), rng.normal(size=(4, 2))
    with pytest.raises(StitchError, match="saw 4 rows for width 4; it needs at least 5"):
        seen(x, y).solve()
    assert torch.isfinite(seen(x, y).solve(ridge=0.1).weight).all()
    more = seen(np.r_[x, x[:1] + 1], np.r_[y, y[:1]])
    assert more.solve().r2 == pytest.approx(1)
    for ridge in (0.0, 0.1):
        with pytest.raises(StitchError, match="saw 0 rows"):
            LeastSquares(4, 2).solve(ridge=ridge)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["x", "y"])
def test_rows_that_are_not_finite_are_refused(which, value):
    rng = np.random.default_rng(9)
    rows = {"x": rng.normal(size=(20, 3)), "y": rng.normal(size=(20, 2))}
    rows[which][13, 1] = value
    for ridge in (0.0, 0.1):
        with pytest.raises(StitchError, match="not finite"):
            seen(rows["x"], rows["y"], (5,)).solve(ridge=ridge)


def test_a_ridge_that_is_no_strength_is_refused():
    for ridge in (np.nan, np.inf):
        with pytest.raises(StitchError, match=f"finite strength of at least 0; got {ridge}"):
            LeastSquares(4, 2).solve(ridge=ridge)
    with pytest.raises(StitchError, match=r"at least 0; got -0\.5"):
        seen(np.zeros((5, 1)), np.zeros((5, 1))).solve(ridge=-0.5)


def test_memory_does_not_grow_with_rows():
    rng = np.random.default_rng(10)

    def numbers(count):
        statistics = seen(rng.normal(size=(count, 6)), rng.normal(size=(count, 4)))
        return sum(value.numel() for value in vars(statistics).values() if isinstance(value, torch.Tensor))

    assert numbers(10) == numbers(10_000) == 6 * (6 + 4) + 6 + 4 + 4


def test_matched_variances_are_those_of_the_targets():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(400, 6)) @ generator.normal(size=(6, 6)) + 3
    y = x @ generator.normal(size=(6, 4)) + 2 * generator.normal(size=(400, 4)) - 7
    statistics = LeastSquares(6, 4)
    statistics.update(torch.from_numpy(x), torch.from_numpy(y))
    plain, matched = statistics.solve(), statistics.solve(match_variance=True)
    predicted = x @ matched.weight.numpy().T + matched.bias.numpy()
    assert predicted.var(0) == pytest.approx(y.var(0), rel=1e-10)
    assert predicted.mean(0) == pytest.approx(y.mean(0), rel=1e-10)
    residual = ((predicted - y) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()
    assert matched.r2 == pytest.approx(1 - residual, rel=1e-9)
    assert matched.r2 < plain.r2
    # Each channel keeps its direction.
    cosine = torch.nn.functional.cosine_similarity(plain.weight, matched.weight)
    assert cosine.numpy() == pytest.approx(1)


def test_a_channel_that_is_not_predicted_does_not_become_noise():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(20_000, 1, generator=generator, dtype=torch.float64)
    statistics = LeastSquares(3, 1)
    statistics.update(x, y)
    plain, matched = statistics.solve(), statistics.solve(match_variance=True)
    assert torch.allclose(matched.weight, LARGEST_SCALE * plain.weight)
