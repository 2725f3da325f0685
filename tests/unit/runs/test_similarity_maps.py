"""All cuts in one pass, held against formulas on the features of all images at once."""

import numpy as np
import pytest
import torch

from stitchable.errors import StitchError
from stitchable.modes import evaluating
from stitchable.runs.similarity_maps import choose_joints, similarity_at, similarity_maps
from stitchable.runs.similarity_options import SimilarityOptions

OPTIONS = SimilarityOptions(rows="pooled", measures="cka,r2", batch_size=20, groups=3, within=True)


@pytest.fixture(scope="module")
def anchors(tiny_vit):
    return {name: tiny_vit(name, width, seed=width).train() for name, width in (("large", 6), ("small", 4))}


@torch.no_grad()
def pooled(anchors, images):
    """By cut the mean over the grid, class token apart."""
    found = {}
    for name, anchor in anchors.items():
        with evaluating(anchor):
            for cut in range(anchor.depth + 1):
                x = anchor.run(anchor.stem(images), 0, cut)
                found[name, cut] = x[:, 1:].double().mean(1).numpy()
    return found


def unbiased_cka(x, y):
    """By the kernels, as in Song et al. 2012."""
    n, kernels = len(x), [z @ z.T for z in (x, y)]
    for kernel in kernels:
        np.fill_diagonal(kernel, 0)

    def hsic(k, m):
        rest = k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * k.sum(0) @ m.sum(0) / (n - 2)
        return (np.trace(k @ m) + rest) / (n * (n - 3))

    first, second = kernels
    return hsic(first, second) / np.sqrt(hsic(first, first) * hsic(second, second))


def r2(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return 1 - (left**2).sum() / (y**2).sum()


def test_every_pair_of_cuts_is_the_formula(anchors, noise):
    images, seen = noise(90), []
    maps, count = similarity_maps(anchors, images.split(20), OPTIONS, on_batch=seen.append)
    assert count == sum(seen) == 90
    pairs = [("small", "large"), ("large", "large"), ("small", "small")]
    assert [(each.front, each.end, each.measure) for each in maps] == [
        (*pair, measure) for pair in pairs for measure in ("cka", "r2")
    ]
    features = pooled(anchors, images)
    for each in maps:
        formula = {"cka": unbiased_cka, "r2": r2}[each.measure]
        assert [len(row) for row in each.cells] == [4, 4, 4, 4]
        for row, column in np.ndindex(4, 4):
            cell = each.cells[row][column]
            assert (cell.front, cell.end) == ((each.front, row), (each.end, column))
            expected = formula(features[each.front, row], features[each.end, column])
            assert cell.value == pytest.approx(expected, abs=1e-5)
            assert cell.low <= cell.value <= cell.high
    assert all(anchor.training for anchor in anchors.values())  # given back


def test_the_first_measure_chooses_between_anchors(anchors, noise):
    outlines = {name: anchor.outline for name, anchor in anchors.items()}
    maps, _ = similarity_maps(anchors, noise(40).split(20), OPTIONS)
    marked, chosen = choose_joints(maps, outlines)
    values = {
        each.measure: np.array([[cell.value for cell in row] for row in each.cells]) for each in maps[:2]
    }
    for each in marked:
        best = [(1 + int(values[each.measure][1:, enter].argmax()), enter) for enter in range(3)]
        assert each.chosen == (set(best) if each.front != each.end else set())
    assert {(joint.leave, joint.enter) for joint in chosen} == marked[0].chosen
    found = similarity_at(maps, "r2", chosen)
    assert [found[joint].value for joint in chosen] == [
        values["r2"][joint.leave, joint.enter] for joint in chosen
    ]


def test_no_images(anchors):
    with pytest.raises(StitchError, match="Similarity saw no images"):
        similarity_maps(anchors, [], OPTIONS)
