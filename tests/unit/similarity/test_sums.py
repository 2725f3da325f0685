"""The streaming engine against the plain functions of all rows at once."""

from itertools import combinations_with_replacement, product

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.layers.adapters import rows_on
from stitchable.ranks import ALONE
from stitchable.similarity.canonical import cca, pwcca, svcca
from stitchable.similarity.cka import biased_linear_cka, linear_cka, minibatch_cka
from stitchable.similarity.kernels import rbf_kernel
from stitchable.similarity.procrustes import procrustes
from stitchable.similarity.regression import linear_r2
from stitchable.similarity.rows import FROM_KERNELS, FROM_MOMENTS, MEASURES
from stitchable.similarity.sums import SimilaritySums

PLAIN = {
    "cka": linear_cka,
    "cka_biased": biased_linear_cka,
    "cca": cca,
    "svcca": svcca,
    "pwcca": pwcca,
    "procrustes": procrustes,
    "r2": linear_r2,
}
# Maps of two grids and both layouts, and tokens with prefix tokens or none.
SPECS = {
    "cnn": [FeatureSpec("map", 3, (4, 4)), FeatureSpec("map", 5, (2, 2)), FeatureSpec("map", 5, (2, 2))],
    "vit": [FeatureSpec("tokens", 4, (3, 3), prefix_tokens=2), FeatureSpec("tokens", 6, (3, 3), 1)],
    "swin": [FeatureSpec("map", 4, (2, 2), channels_last=True)],
}
CUTS = [(name, cut) for name, specs in SPECS.items() for cut in range(len(specs))]
PAIRS = [*combinations_with_replacement(CUTS, 2), (("vit", 0), ("cnn", 0))]
BATCHES = (30, 30, 30, 30, 30, 30, 12, 3)


def spec(cut):
    return SPECS[cut[0]][cut[1]]


def batches(seed=0, sizes=BATCHES):
    """Features that share something, far from 0, batch by batch."""
    generator = torch.Generator().manual_seed(seed)

    def draw(size):
        seen = torch.randn(size, 2, generator=generator, dtype=torch.float64)
        found = {}
        for number, cut in enumerate(CUTS):
            x = torch.randn(spec(cut).shape(size), generator=generator, dtype=torch.float64)
            x.view(size, -1)[:, :40:3] += (number + 1) * seen[:, :1]
            x.view(size, -1)[:, 1:40:3] -= seen[:, 1:]
            found[cut] = x + 20 + number
        return found

    return [draw(size) for size in sizes]


def taken_in(given, **arguments):
    sums = SimilaritySums(SPECS, PAIRS, **arguments)
    for features in given:
        sums.update(features)
    return sums


def whole(given, cut):
    return torch.cat([features[cut] for features in given])


def by_pair(sums):
    return {(each.measure, each.front, each.end): each.value for each in sums.values()}


def meeting(front, end):
    """The smaller grid, and the prefix tokens that both have."""
    grid = min(spec(front).grid, spec(end).grid)
    prefix = min(spec(front).prefix_tokens, spec(end).prefix_tokens)
    return {"grid": grid, "prefix": prefix}


def plain_rows(given, front, end, rows):
    x, y = (whole(given, cut) for cut in (front, end))
    if rows == "pixels":
        where = meeting(front, end)
        return rows_on(x, spec(front), **where), rows_on(y, spec(end), **where)
    return pooled(x, front), pooled(y, end)


def pooled(x, cut):
    """The mean over the grid, by the layout."""
    if spec(cut).kind == "tokens":
        return x[:, spec(cut).prefix_tokens :].mean(1)
    return x.mean((1, 2)) if spec(cut).channels_last else x.mean((2, 3))


@pytest.mark.parametrize("rows", ["pooled", "pixels"])
def test_streaming_is_one_shot(rows):
    given = batches()
    found = by_pair(taken_in(given, rows=rows, measures=FROM_MOMENTS))
    assert found.keys() == {(measure, *pair) for measure, pair in product(PLAIN, PAIRS)}
    for (measure, front, end), value in found.items():
        expected = PLAIN[measure](*plain_rows(given, front, end, rows))
        assert value == pytest.approx(expected, abs=1e-10), (measure, front, end)


@pytest.mark.parametrize("rows", ["pooled", "flattened"])
def test_mini_batches_are_those_of_the_plain_function(rows):
    given = batches()
    found = by_pair(taken_in(given, rows=rows, measures=FROM_KERNELS, bandwidth=0.4))

    def matrix(x, cut):
        return pooled(x, cut) if rows == "pooled" else x.flatten(1)

    for front, end in PAIRS:
        both = [(matrix(each[front], front), matrix(each[end], end)) for each in given]
        assert found["cka_minibatch", front, end] == pytest.approx(minibatch_cka(both), abs=1e-10)
        expected = minibatch_cka(both, kernel=lambda x: rbf_kernel(x, fraction=0.4))
        assert found["rbf_cka", front, end] == pytest.approx(expected, abs=1e-10)


def test_chunks_of_a_large_batch_are_no_matter(monkeypatch):
    given = batches(sizes=(60,))
    expected = by_pair(taken_in(given, rows="pixels", measures=FROM_MOMENTS, groups=0))
    monkeypatch.setattr("stitchable.similarity.moment_sums.ROWS_AT_ONCE", 50)
    assert by_pair(taken_in(given, rows="pixels", measures=FROM_MOMENTS, groups=0)) == pytest.approx(
        expected, abs=1e-10
    )


@pytest.mark.parametrize("rows", ["pooled", "pixels", "flattened"])
def test_halves_add_up(rows):
    given = batches()
    asked = {"rows": rows, "measures": MEASURES[rows], "groups": 3}
    once, first, second = taken_in(given, **asked), taken_in(given[:4], **asked), taken_in([], **asked)
    for number, features in enumerate(given[4:], 4):
        second.update(features, number=number)
    before = by_pair(second)
    empty = taken_in([], **asked)
    empty.add(first)
    empty.add(second)
    assert by_pair(empty) == pytest.approx(by_pair(once), abs=1e-10)
    assert by_pair(second) == before
    ends = [(each.low, each.high) for each in empty.values()]
    assert ends == [pytest.approx((each.low, each.high), abs=1e-9) for each in once.values()]


def _merged(ranks, folder):
    given = batches()
    for rows in MEASURES:
        sums = SimilaritySums(SPECS, PAIRS, rows=rows, measures=MEASURES[rows], groups=4)
        for number in range(ranks.rank, len(given), 2) if ranks.rank < 2 else []:
            sums.update(given[number], number=number)
        sums.merge(ranks)
        torch.save(
            [(each.value, each.low, each.high) for each in sums.values()], folder / f"{rows}-{ranks.rank}"
        )


def test_processes_merge_to_the_same_bits(tmp_path, in_processes):
    """Three, of which the last has no images; intervals too, since groups go by the batches' numbers."""
    in_processes(3, _merged, tmp_path)
    for rows, measures in MEASURES.items():
        found = [torch.load(tmp_path / f"{rows}-{rank}") for rank in range(3)]
        assert found[0] == found[1] == found[2]
        once = taken_in(batches(), rows=rows, measures=measures, groups=4)
        once.merge(ALONE)
        expected = [(each.value, each.low, each.high) for each in once.values()]
        torch.testing.assert_close(torch.tensor(found[0]), torch.tensor(expected), atol=1e-9, rtol=0)


def test_memory_does_not_depend_on_the_images():
    sums = taken_in([], rows="pooled", measures=MEASURES["pooled"])
    before = sums.nbytes
    for features in batches():
        sums.update(features)
    assert sums.nbytes == before
    assert before == 10 * taken_in([], measures=MEASURES["pooled"], groups=0).nbytes


def test_float32_features_are_summed_in_float64():
    given = [{cut: x.float() for cut, x in features.items()} for features in batches()]
    found = by_pair(taken_in(given, measures=["cka"]))
    for front, end in PAIRS:
        rows = plain_rows(
            [{cut: x.double() for cut, x in each.items()} for each in given], front, end, "pooled"
        )
        assert found["cka", front, end] == pytest.approx(linear_cka(*rows), abs=1e-10)


def test_an_interval_is_about_what_other_images_give():
    """95 % of intervals of one draw should hold the value of many images; of 60 here at least 50."""
    specs = {"a": [FeatureSpec("map", 3, (1, 1))], "b": [FeatureSpec("map", 4, (1, 1))]}
    pair = (("a", 0), ("b", 0))

    def drawn(seed, count, **arguments):
        generator = torch.Generator().manual_seed(seed)
        sums = SimilaritySums(specs, [pair], measures=["cka"], **arguments)
        for _ in range(10):
            x = torch.randn(count, 3, 1, 1, generator=generator)
            noise = torch.randn(count, 4, 1, 1, generator=generator)
            sums.update({("a", 0): x, ("b", 0): torch.cat([x, x[:, :1]], 1) + noise})
        return sums.values()[0]

    true = drawn(1000, 5000, groups=0)
    assert (true.low, true.high) == (None, None)
    found = [drawn(seed, 20) for seed in range(60)]
    assert all(each.low < each.value < each.high for each in found)
    assert sum(each.low < true.value < each.high for each in found) >= 50


def test_features_that_do_not_vary_are_like_nothing():
    given = [
        {cut: torch.full_like(x, 0.1) if cut == ("cnn", 0) else x for cut, x in each.items()}
        for each in batches()
    ]
    for rows in MEASURES:
        found = by_pair(taken_in(given, rows=rows, measures=MEASURES[rows], groups=0))
        assert {value for key, value in found.items() if ("cnn", 0) in key} == {0}


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(
        StitchError, match=r"rbf_cka cannot be had from pixels rows\. Allowed: cka, cka_biased"
    ):
        SimilaritySums(SPECS, PAIRS, rows="pixels", measures=["cka", "rbf_cka"])
    with pytest.raises(StitchError, match=r"r2 cannot be had from flattened rows\. Allowed: cka_minibatch"):
        SimilaritySums(SPECS, PAIRS, rows="flattened", measures=["r2"])
    with pytest.raises(StitchError, match="at least one pair"):
        SimilaritySums(SPECS, [])
    with pytest.raises(StitchError, match="cnn has the cuts 0 to 2; got 3"):
        SimilaritySums(SPECS, [(("cnn", 0), ("cnn", 3))])
    with pytest.raises(StitchError, match="No anchor 'rnn'; there are cnn, vit, swin"):
        SimilaritySums(SPECS, [(("cnn", 0), ("rnn", 3))])
    with pytest.raises(StitchError, match="at least 2 groups, or 0 for none; got 1"):
        SimilaritySums(SPECS, PAIRS, groups=1)
    with pytest.raises(StitchError, match="above 0; got 0"):
        SimilaritySums(SPECS, PAIRS, bandwidth=0)
    with pytest.raises(StitchError, match="unlike pairs"):
        taken_in([]).add(taken_in([], groups=3))
    with pytest.raises(StitchError, match=r"at least 4 images, .*got 3"):
        taken_in(batches(sizes=(3,))).values()
    with pytest.raises(StitchError, match=r"at least 4 images, .*got 0"):
        taken_in(batches(sizes=(3, 3)), rows="flattened", measures=["rbf_cka"]).values()
    broken = batches(sizes=(5,))
    broken[0]["vit", 1][0, 0, 0] = torch.nan
    with pytest.raises(StitchError, match="vit's features at cut 1 are not finite"):
        taken_in(broken, rows="pixels").values()
