import torch

from stitchable.feature import FeatureSpec
from stitchable.layers.adapters import put_together, resample, rows_on, take_apart


def counting(*shape):
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape)


def test_rows_of_maps_and_tokens_keep_channels_together():
    tokens = counting(2, 7, 4)
    spec = FeatureSpec("tokens", 4, (2, 3), prefix_tokens=1)
    assert torch.equal(rows_on(tokens, spec, grid=(2, 3), prefix=1), tokens.reshape(14, 4))
    assert torch.equal(rows_on(tokens, spec, grid=(2, 3), prefix=0), tokens[:, 1:].reshape(12, 4))
    maps = counting(2, 4, 2, 3)
    expected = [maps[image, :, row, column] for image in range(2) for row in range(2) for column in range(3)]
    found = rows_on(maps, FeatureSpec("map", 4, (2, 3)), grid=(2, 3), prefix=0)
    assert torch.equal(found, torch.stack(expected))
    last = FeatureSpec("map", 4, (2, 3), channels_last=True)
    assert torch.equal(rows_on(maps.permute(0, 2, 3, 1), last, grid=(2, 3), prefix=0), torch.stack(expected))


def test_taking_apart_is_undone():
    for spec in (
        FeatureSpec("tokens", 4, (2, 3), prefix_tokens=2),
        FeatureSpec("tokens", 4, (2, 3)),
        FeatureSpec("map", 4, (2, 3)),
        FeatureSpec("map", 4, (2, 3), channels_last=True),
    ):
        x = counting(*spec.shape(5))
        prefix, grid = take_apart(x, spec)
        assert prefix.shape == (5, spec.prefix_tokens, 4)
        assert grid.shape == (5, 2, 3, 4)
        assert torch.equal(put_together([prefix] if spec.prefix_tokens else [], grid, spec), x)


def test_resampling_leaves_constants_and_means_alone():
    constant = torch.full((1, 4, 6, 2), 3.0)
    for size in ((4, 6), (2, 3), (3, 4), (7, 9), (2, 12)):
        assert torch.allclose(resample(constant, size), torch.full((1, *size, 2), 3.0))
    x = counting(1, 4, 6, 2)
    assert torch.allclose(resample(x, (2, 2)).mean((1, 2)), x.mean((1, 2)))
    assert resample(x, (4, 6)) is x
