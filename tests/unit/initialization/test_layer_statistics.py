"""Shared statistics against numpy's least squares on the stacked rows of every pair."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from stitchable.cost.parts import PartCost
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.initialization import feature_sums
from stitchable.initialization.layer_statistics import LayerStatistics
from stitchable.initialization.views import products, view_pair
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.outline import Outline
from stitchable.space.space import StitchingSpace


def outline(name: str, macs: int, widths: list[int], stages: list[int], grids: list[int]) -> Outline:
    cuts = [
        FeatureSpec("map", width, (grid, grid), stage=stage)
        for width, grid, stage in zip(widths, grids, [0, *stages], strict=True)
    ]
    part = PartCost(macs)
    return Outline(name, tuple(cuts), tuple(stages), part, (part,) * len(stages), part)


def flat(depths: tuple[int, ...], options: SpaceOptions | None = None) -> StitchingSpace:
    """Anchors a, b, c of one stage, widths 5, 7, 9."""
    outlines = [
        outline(name, number + 1, [5 + 2 * number] * (depth + 1), [0] * depth, [2] * (depth + 1))
        for number, (name, depth) in enumerate(zip("abc", depths, strict=False))
    ]
    return build_space(outlines, options)


def staged() -> StitchingSpace:
    """Two anchors of three stages; the grid, and so the number of rows, differs between stages."""
    stages = [0, 0, 1, 1, 2]
    grids = [4, 4, 4, 2, 2, 1]
    narrow = outline("narrow", 1, [4, 4, 4, 6, 6, 8], stages, grids)
    wide = outline("wide", 2, [5, 5, 5, 7, 7, 9], stages, grids)
    return build_space([narrow, wide])


SPACES = {
    "windows": flat((4, 4, 4)),
    "wide windows": flat((5, 5), SpaceOptions(kernel=4)),
    "unequal depths": flat((2, 5)),
    "both ways": flat((4, 4), SpaceOptions(rule="two_way")),
    "one layer per pair": flat((4, 4), SpaceOptions(sharing="none")),
    "stages": staged(),
}


def draw(space: StitchingSpace, images: int) -> dict[tuple[str, int], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = {}
    for cut in LayerStatistics(space).cuts:
        spec = space.outlines[cut[0]].features[cut[1]]
        features[cut] = torch.randn(spec.shape(images), generator=generator) + 3
    return features


def matrix(x: torch.Tensor) -> torch.Tensor:
    """Pixels of a map, or tokens, as rows."""
    return (x if x.ndim == 3 else torch.einsum("bchw->bhwc", x)).flatten(0, -2).double()


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_every_pair_lies_in_one_product(space: StitchingSpace) -> None:
    for joints in space.layers.values():
        pairs = [view_pair(space, joint) for joint in joints]
        covered = [pair for fronts, ends in products(pairs) for pair in product(fronts, ends)]
        assert sorted(covered) == sorted(pairs)


@pytest.mark.parametrize("kernel", [2, 3, 4, 6])
def test_a_window_costs_two_products_at_most(kernel: int) -> None:
    space = flat((12, 12), SpaceOptions(kernel=kernel))
    assert max(map(len, LayerStatistics(space).products.values())) == 2


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_solutions_equal_one_shot_least_squares(
    space: StitchingSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_sums, "ROWS_AT_ONCE", 13)
    images, batch = 40, 7
    features = draw(space, images)
    statistics = LayerStatistics(space)
    for start in range(0, images, batch):
        statistics.update({cut: x[start : start + batch] for cut, x in features.items()})
    for layer, fit in statistics.solve().items():
        joints = space.layers[layer]
        front = torch.cat([matrix(features[j.front, j.leave]) for j in joints]).numpy()
        end = torch.cat([matrix(features[j.end, j.enter]) for j in joints]).numpy()
        affine = np.linalg.lstsq(np.column_stack([front, np.ones(len(front))]), end, rcond=None)[0]
        residual = ((end - front @ affine[:-1] - affine[-1]) ** 2).sum()
        r2 = 1 - residual / ((end - end.mean(0)) ** 2).sum()
        ours = torch.cat([fit.weight.T, fit.bias[None]]).numpy()
        assert np.linalg.norm(ours - affine) <= 1e-10 * np.linalg.norm(affine)
        assert fit.rows == len(front)
        assert fit.r2 == pytest.approx(r2, rel=1e-10)


def test_sums_do_not_depend_on_how_rows_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SPACES["windows"]
    features = draw(space, 30)
    whole = LayerStatistics(space)
    whole.update(features)
    monkeypatch.setattr(feature_sums, "ROWS_AT_ONCE", 1)
    pieces = LayerStatistics(space)
    pieces.update(features)
    for layer in space.layers:
        torch.testing.assert_close(
            whole.layer(layer).cross, pieces.layer(layer).cross, rtol=1e-12, atol=1e-12
        )


def test_too_few_rows_name_the_layer() -> None:
    space = SPACES["one layer per pair"]
    statistics = LayerStatistics(space)
    statistics.update(draw(space, 1))
    with pytest.raises(StitchError, match="Layer a>b:0-0-0: Least squares saw 4 rows"):
        statistics.solve()


def test_a_space_without_joints_has_nothing_to_solve() -> None:
    statistics = LayerStatistics(flat((3, 3), SpaceOptions(stages=())))
    statistics.update({})
    assert statistics.solve() == {}
