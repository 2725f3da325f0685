import pytest
import torch

from stitchable.rounding import least_share, spread_by_rounding


@pytest.mark.parametrize("value", [1 / 3, 1e6 / 3, -1e-6 / 3, 0.0])
@pytest.mark.parametrize("rows", [2, 1000])
def test_equal_values_vary_by_rounding_alone_and_float32_neighbours_by_more(value, rows):
    equal = torch.full((rows, 2), value, dtype=torch.float32).double()
    mean = equal.mean(0)
    assert float((equal - mean).square().sum()) <= spread_by_rounding(mean, rows)
    if value:
        apart = equal.clone()
        apart[0, 0] = torch.nextafter(torch.tensor(value), torch.tensor(torch.inf)).double()
        mean = apart.mean(0)
        assert float((apart - mean).square().sum()) > spread_by_rounding(mean, rows)


def test_eigenvalues_of_a_matrix_of_low_rank_are_none_but_for_its_rank():
    for width, rank in ((8, 3), (600, 5)):
        rows = torch.randn(rank, width, generator=torch.Generator().manual_seed(width), dtype=torch.float64)
        values = torch.linalg.eigvalsh(rows.T @ rows)
        assert int((values > least_share(width) * values[-1]).sum()) == rank
