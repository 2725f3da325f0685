import numpy as np
import pytest

from stitchable.errors import StitchError
from stitchable.prediction.ridge import STRENGTHS, fit_ridge, out_of_fold


def problem(rows, columns, noise=0.3, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, columns)) * draw.uniform(0.1, 100, columns) + draw.normal(size=columns) * 50
    return x, 80 + (x - x.mean(0)) / x.std(0) @ draw.normal(size=columns) + noise * draw.normal(size=rows)


def normal_equations(x, y, strength):
    """Weights of standardised features, by a linear system instead of a decomposition."""
    z = (x - x.mean(0)) / x.std(0)
    return np.linalg.solve(z.T @ z + len(x) * strength * np.eye(x.shape[1]), z.T @ (y - y.mean()))


def left_out_error(x, y, strength):
    """Mean square of what a fit without the row misses, with the standardisation of all rows."""
    z = (x - x.mean(0)) / x.std(0)
    total = 0.0
    for row in range(len(x)):
        kept = np.arange(len(x)) != row
        design = np.column_stack([np.ones(len(x)), z])
        penalty = len(x) * strength * np.diag([0.0, *np.ones(x.shape[1])])
        weights = np.linalg.solve(design[kept].T @ design[kept] + penalty, design[kept].T @ y[kept])
        total += (y[row] - design[row] @ weights) ** 2
    return total / len(x)


@pytest.mark.parametrize("shape", [(30, 4), (12, 20)])
def test_it_solves_the_normal_equations_with_the_strength_that_leaves_out_best(shape):
    x, y = problem(*shape)
    ridge = fit_ridge(x, y)
    assert ridge.weights == pytest.approx(normal_equations(x, y, ridge.strength), rel=1e-6)
    assert ridge.strength == min(STRENGTHS, key=lambda strength: left_out_error(x, y, strength))
    assert ridge.predict(x.mean(0)[None]) == pytest.approx(y.mean())


def test_noise_asks_for_a_strong_penalty_and_a_law_for_a_weak_one():
    x, y = problem(40, 5, noise=0.0)
    assert fit_ridge(x, y).strength == STRENGTHS[0]
    assert fit_ridge(x, np.random.default_rng(5).normal(size=40)).strength > 0.3


def test_a_constant_feature_has_no_weight():
    x, y = problem(20, 3)
    with_one = np.column_stack([x, np.full(20, 93.1)])
    other = with_one + np.array([0, 0, 0, 5.0])
    assert fit_ridge(with_one, y).predict(other) == pytest.approx(fit_ridge(x, y).predict(x))


def test_what_is_predicted_was_not_seen():
    """Another target in one row changes every prediction but its own."""
    x, y = problem(15, 3)
    changed = y.copy()
    changed[4] += 30
    before, after = out_of_fold(x, y), out_of_fold(x, changed)
    assert after[4] == before[4]
    assert (np.delete(after, 4) != np.delete(before, 4)).all()


def test_many_rows_are_left_out_in_parts():
    x, y = problem(260, 3)
    changed = y.copy()
    changed[7] += 30
    same = out_of_fold(x, y) == out_of_fold(x, changed)
    assert same[7]
    assert same.sum() == 13  # one part of twenty


def test_pure_noise_is_not_predicted():
    draw = np.random.default_rng(0)
    found = []
    for _ in range(20):
        x, y = draw.normal(size=(30, 6)), draw.normal(size=30)
        found.append(np.mean((out_of_fold(x, y) - y) ** 2) / y.var())
    assert np.mean(found) > 1  # no better than the mean, as it must be


def test_too_few_rows_and_what_is_no_number_are_refused():
    with pytest.raises(StitchError, match="three rows"):
        fit_ridge(np.zeros((2, 1)), np.zeros(2))
    with pytest.raises(StitchError, match="finite"):
        fit_ridge(np.full((5, 1), np.nan), np.zeros(5))
