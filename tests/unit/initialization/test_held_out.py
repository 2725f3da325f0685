from itertools import count, pairwise

import numpy as np
import pytest
import torch

from stitchable.errors import StitchError
from stitchable.initialization.fit import cut_features
from stitchable.initialization.held_out import RIDGES, choose_ridge, fit_held_out
from stitchable.initialization.layer_statistics import LayerStatistics
from stitchable.initialization.least_squares import LeastSquares


def ridge_by_rows(x, y, ridge):
    """Ridge regression as plain least squares with more rows; strength relative to the mean eigenvalue."""
    centred, width = x - x.mean(0), x.shape[1]
    extra = np.sqrt(ridge * np.square(centred).sum() / width) * np.eye(width)
    target = np.r_[y - y.mean(0), np.zeros((width, y.shape[1]))]
    weight = np.linalg.lstsq(np.r_[centred, extra], target, rcond=None)[0]
    return weight, y.mean(0) - x.mean(0) @ weight


def r2_by_rows(x, y, weight, bias):
    return 1 - np.square(y - x @ weight - bias).sum() / np.square(y - y.mean(0)).sum()


def best_by_rows(fitted, held_out, ridges=RIDGES):
    """The ridge that is best on held-out rows, by trying all of them on the rows themselves."""
    found = [(r2_by_rows(*held_out, *ridge_by_rows(*fitted, ridge)), ridge) for ridge in ridges]
    return max(found, key=lambda pair: pair[0])


def seen(x, y):
    statistics = LeastSquares(x.shape[1], y.shape[1])
    for rows in np.array_split(np.arange(len(x)), 3):
        statistics.update(torch.from_numpy(x[rows]), torch.from_numpy(y[rows]))
    return statistics


def noisy_rows(rows, noise, seed=0, width=20):
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, 3))
    x = generator.normal(size=(rows, width)) * np.linspace(0.1, 2, width) + 5
    return x, x @ mixing + noise * generator.normal(size=(rows, 3)) - 2


@pytest.mark.parametrize("noise", [0.01, 3.0, 30.0])
def test_the_ridge_is_the_one_that_trying_all_on_the_rows_finds(noise):
    fitted, held_out = noisy_rows(30, noise), noisy_rows(50, noise, seed=1)
    choice = choose_ridge(seen(*fitted), seen(*held_out))
    r2, ridge = best_by_rows(fitted, held_out)
    assert choice.ridge == ridge
    assert choice.held_out_r2 == pytest.approx(r2, rel=1e-9)


def test_more_noise_wants_more_ridge():
    ridges = [
        choose_ridge(seen(*noisy_rows(30, noise)), seen(*noisy_rows(400, noise, seed=1))).ridge
        for noise in (0.0, 3.0, 30.0)
    ]
    assert ridges[0] < ridges[1] < ridges[2]


def test_r2_of_a_map_on_rows_that_it_does_not_know():
    fitted, other = noisy_rows(60, 1.0), noisy_rows(40, 1.0, seed=1)
    other = other[0] + 1, other[1] - 3  # another mean, which a bias cannot meet
    fit = seen(*fitted).solve()
    expected = r2_by_rows(*other, fit.weight.numpy().T, fit.bias.numpy())
    assert expected < 0.9
    assert seen(*other).r2(fit) == pytest.approx(expected, rel=1e-9)
    assert seen(*fitted).r2(fit) == pytest.approx(fit.r2, rel=1e-9)


def test_no_ridge_is_left_out_where_rows_are_too_few():
    few, held_out = seen(*noisy_rows(10, 1.0)), seen(*noisy_rows(50, 1.0, seed=1))
    assert choose_ridge(few, held_out).ridge > 0
    with pytest.raises(StitchError, match="saw 10 rows for width 20"):
        choose_ridge(few, held_out, (0.0,))
    with pytest.raises(StitchError, match="No images are held out"):
        choose_ridge(few, LeastSquares(20, 3))


def rows_of(network, layer, images):
    """Rows of all pairs of a layer, from features that the anchors give part by part."""
    sides = ([], [])
    for joint in network.space.layers[layer]:
        for side, (name, cut) in zip(
            sides, ((joint.front, joint.leave), (joint.end, joint.enter)), strict=True
        ):
            anchor = network.anchors[name]
            with torch.no_grad():
                x = anchor.run(anchor.stem(images), 0, cut)
            side.append(
                (x if x.ndim == 3 else x.movedim(1, -1)).reshape(-1, x.shape[-1 if x.ndim == 3 else 1])
            )
    return tuple(torch.cat(side).numpy() for side in sides)


@pytest.mark.parametrize("family", ["stitched_vits", "stitched_resnets"])
def test_layers_are_solved_for_all_images_with_ridges_chosen_on_held_out_ones(family, request, noise):
    network = request.getfixturevalue(family)().double()
    side = network.input_spec.size[1]
    aside, images = (noise(size, side=side, seed=size).double() for size in (6, 11))
    made = fit_held_out(network, aside.split(4), [images.split(5)])
    assert [layer.layer for layer in made.layers] == list(network.layers)
    assert (made.grown[0][0], len(made.grown), made.enough) == (11, 1, False)
    for layer in made.layers:
        held_out, fitted = rows_of(network, layer.layer, aside), rows_of(network, layer.layer, images)
        r2, ridge = best_by_rows(fitted, held_out)
        assert layer.held_out_r2 == pytest.approx(r2, rel=1e-7, abs=1e-9)
        assert layer.ridge == ridge
        x, y = (np.concatenate(each) for each in zip(held_out, fitted, strict=True))
        weight, bias = ridge_by_rows(x, y, ridge)
        projection = network.layers[layer.layer].projection
        np.testing.assert_allclose(projection.weight.detach().flatten(1).T, weight, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(projection.bias.detach(), bias, rtol=1e-6, atol=1e-8)
        assert layer.r2 == pytest.approx(r2_by_rows(x, y, weight, bias), rel=1e-9)
        assert (layer.rows, layer.images) == (len(x), 17)
    assert made.grown[0][1] == pytest.approx(np.mean([layer.held_out_r2 for layer in made.layers]))


def test_images_are_taken_as_long_as_they_help(stitched_vits, noise):
    network, asked = stitched_vits(), []

    def parts(different):
        for number in count():
            asked.append(number)
            yield [noise(8 * 2 ** max(number - 1, 0), seed=number if number < different else 0)]

    # Images like those held out help most; from then on noise follows that is not like them.
    made = fit_held_out(network, [noise(30, seed=1)], parts(3), tolerance=0.001)
    r2 = [each for _, each in made.grown]
    assert asked == list(range(len(r2)))
    assert made.enough
    assert all(after - before > 0.001 for before, after in pairwise(r2[:-1]))
    assert r2[-1] - r2[-2] <= 0.001
    assert {layer.images for layer in made.layers} == {made.grown[-1][0] + 30}
    few = fit_held_out(network, [noise(30, seed=1)], ([noise(8)], [noise(8, seed=1)]), tolerance=-1.0)
    assert not few.enough
    with pytest.raises(StitchError, match="no images but held-out ones"):
        fit_held_out(network, [noise(30)], [])
    with pytest.raises(StitchError, match=r"Layer small>medium:0-0: No images are held out"):
        fit_held_out(network, [], [[noise(30)]])


def test_one_ridge_leaves_the_number_of_images_to_choose(stitched_vits, noise):
    made = fit_held_out(stitched_vits(), [noise(5)], [[noise(20, seed=1)]], ridges=(0.25,))
    assert {layer.ridge for layer in made.layers} == {0.25}


@pytest.mark.parametrize("family", ["stitched_vits", "stitched_resnets"])
def test_sums_of_two_add_up_to_those_of_all(family, request, noise):
    network = request.getfixturevalue(family)().double()
    side = network.input_spec.size[1]
    images = noise(40, side=side).double() + 2  # other rows come first, so another shift
    moved, one, two, empty = (LayerStatistics(network.space) for _ in range(4))
    with torch.no_grad():
        for statistics, given in (
            (one, images[:13]),
            (two, images[13:]),
            (moved, images[:13]),
            (moved, images[13:]),
        ):
            statistics.update(cut_features(network.anchors, one.cuts, given))
    kept = two.solve(ridge=1e-3)
    one.add(two)
    empty.add(one)
    empty.add(LayerStatistics(network.space))
    for layer, expected in moved.solve(ridge=1e-3).items():
        for found in (one, empty):
            got = found.solve(ridge=dict.fromkeys(network.layers, 1e-3))[layer]
            assert (got.weight - expected.weight).norm() <= 1e-10 * expected.weight.norm()
            assert (got.bias - expected.bias).norm() <= 1e-10 * expected.bias.norm()
            assert (got.r2, got.rows) == (pytest.approx(expected.r2, rel=1e-10), expected.rows)
    for layer, fit in two.solve(ridge=1e-3).items():  # what was added stays as it is
        assert torch.equal(fit.weight, kept[layer].weight)
