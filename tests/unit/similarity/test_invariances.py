"""What each measure does not see, and what it does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.similarity.canonical import cca, pwcca, svcca
from stitchable.similarity.cka import biased_linear_cka, linear_cka, minibatch_cka
from stitchable.similarity.procrustes import procrustes
from stitchable.similarity.rbf import rbf_cka
from stitchable.similarity.regression import linear_r2

MEASURES = {
    "cka": linear_cka,
    "cka_biased": biased_linear_cka,
    "cka_minibatch": lambda x, y: minibatch_cka(zip(x.split(20), y.split(20), strict=True)),
    "rbf_cka": rbf_cka,
    "cca": cca,
    "svcca": svcca,
    "pwcca": pwcca,
    "procrustes": procrustes,
    "r2": linear_r2,
}
FRONT, END, ROWS = 5, 7, 60


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed, width):
    return torch.linalg.qr(normal(seed, width, width))[0]


def invertible(seed, width):
    """A map of condition number 10, which no rotation and scale is."""
    return rotation(seed, width) @ torch.logspace(0, 1, width).double().diag() @ rotation(seed + 1, width)


def features(seed):
    x, y = normal(seed, ROWS, FRONT), normal(seed + 1, ROWS, END)
    y[:, :3] += x[:, :3]
    return x * torch.logspace(0, -1, FRONT).double(), y


seeds, scales = st.integers(0, 10_000), st.floats(0.01, 100)


@pytest.mark.parametrize("name", MEASURES)
@settings(deadline=None, max_examples=8)
@given(seed=seeds, front=scales, end=scales, shift=st.floats(-50, 50))
def test_rotation_scale_and_shift_change_nothing(name, seed, front, end, shift):
    """But for rotations of the first feature of pwcca, which sums absolute values over its channels."""
    x, y = features(seed)
    turn = torch.eye(FRONT, dtype=torch.float64) if name == "pwcca" else rotation(seed, FRONT)
    moved = front * x @ turn + shift, -end * y @ rotation(seed + 1, END) - shift
    assert MEASURES[name](*moved) == pytest.approx(MEASURES[name](x, y), abs=1e-7)


@pytest.mark.parametrize("name", MEASURES)
@settings(deadline=None, max_examples=4)
@given(seed=seeds, scale=scales)
def test_a_feature_is_like_itself(name, seed, scale):
    x, y = features(seed)
    assert MEASURES[name](x, -scale * x + 3) == pytest.approx(1, abs=1e-9)
    assert -0.3 < MEASURES[name](x, y) < 1


@settings(deadline=None, max_examples=15)
@given(seed=seeds)
def test_what_canonical_correlations_and_r2_do_not_see(seed):
    x, y = features(seed)
    front, end = invertible(seed + 2, FRONT), invertible(seed + 4, END)
    assert cca(x @ front, y @ end) == pytest.approx(cca(x, y), abs=1e-9)
    assert pwcca(x, y @ end) == pytest.approx(pwcca(x, y), abs=1e-9)
    assert linear_r2(x @ front, y) == pytest.approx(linear_r2(x, y), abs=1e-9)


@pytest.mark.parametrize("name", sorted(MEASURES.keys() - {"cca"}))
def test_what_they_do_see(name):
    """An invertible map of either side; of r2 that of what is explained, of pwcca that of the first."""
    x, y = features(3)
    x, y = x.clone(), y @ torch.logspace(-1, 0.5, END).double().diag()
    map_x, map_y = invertible(1, FRONT), invertible(2, END)
    moved = (x, y @ map_y) if name == "r2" else (x @ map_x, y if name == "pwcca" else y @ map_y)
    assert abs(MEASURES[name](*moved) - MEASURES[name](x, y)) > 0.003


@pytest.mark.parametrize("name", sorted(MEASURES.keys() - {"r2", "pwcca"}))
def test_the_order_of_two_features_does_not_matter(name):
    x, y = features(5)
    assert MEASURES[name](x, y) == pytest.approx(MEASURES[name](y, x), abs=1e-12)


def test_pwcca_sees_a_rotation_of_the_first_feature():
    x, y = features(5)
    assert abs(pwcca(x @ rotation(9, FRONT), y) - pwcca(x, y)) > 0.001
