from itertools import pairwise

import pytest

from stitchable.errors import StitchError
from stitchable.reassembly.parts import ModelPart, Partition
from stitchable.reassembly.search import search_assemblies
from stitchable.reassembly.space import reassembly_space
from stitchable.space.space import StitchingSpace


@pytest.fixture(scope="module")
def zoo(outline):
    """Three anchors of four parts each: 81 networks, three of them the anchors."""
    outlines = [outline("a", 4, 8, macs=10), outline("b", 4, 12, macs=30), outline("c", 8, 4, macs=20)]
    cuts = {each.name: tuple(range(0, each.depth + 1, each.depth // 4)) for each in outlines}
    parts = {
        ModelPart(name, start, stop): place
        for name, given in cuts.items()
        for place, (start, stop) in enumerate(pairwise(given))
    }
    return reassembly_space(outlines, Partition(cuts, parts, tuple(parts)[:4], 1.0))


def law(stitch):
    """Anything that does not add up."""
    lengths = [len(segment) for segment in stitch.segments]
    return (
        float(max(lengths) * len(lengths) - sum(lengths) % 5)
        + 0.1 * "abc".index(stitch.anchors[0])
        + 0.01 * "abc".index(stitch.anchors[-1])
    )


def bound(zoo, cost, share):
    """What so many of the networks have at most."""
    found = sorted(getattr(zoo.cost(stitch), cost) for stitch in zoo)
    return found[int(share * (len(found) - 1))]


@pytest.mark.parametrize("anchors", [True, False])
@pytest.mark.parametrize(("params", "macs"), [(None, None), (0.6, None), (None, 0.5), (0.7, 0.6)])
def test_few_networks_are_all_scored(zoo, params, macs, anchors):
    params = params and bound(zoo, "params", params)
    macs = macs and bound(zoo, "macs", macs)
    found = search_assemblies(zoo, law, params=params, macs=macs, anchors=anchors)
    expected = [
        stitch
        for stitch in zoo
        if (params is None or zoo.cost(stitch).params <= params)
        and (macs is None or zoo.cost(stitch).macs <= macs)
        and (anchors or stitch.joints)
    ]
    assert {each.stitch for each in found} == set(expected)
    assert 3 < len(found) < zoo.count or (anchors and not params and not macs)
    assert [each.score for each in found] == sorted(map(law, expected), reverse=True)
    assert all(
        (each.macs, each.params) == (zoo.cost(each.stitch).macs, zoo.cost(each.stitch).params)
        for each in found
    )


def test_evolution_asks_for_no_more_than_it_may_and_stays_within_the_bounds(zoo):
    asked = []
    within = {"params": bound(zoo, "params", 0.8), "macs": bound(zoo, "macs", 0.9)}
    least = {"evaluations": 36, "generation": 6, "anchors": False}

    def score(stitch):
        asked.append(stitch)
        return law(stitch)

    found = search_assemblies(zoo, score, **within, **least)
    assert len(asked) == len(set(asked)) == len(found) <= 36 < len(search_assemblies(zoo, law, **within))
    assert all(zoo.cost(each).macs <= within["macs"] for each in asked)
    assert all(zoo.cost(each).params <= within["params"] for each in asked)
    assert all(stitch.joints for stitch in asked)
    assert found == search_assemblies(zoo, law, **within, **least)


def test_evolution_beats_the_same_number_of_draws(zoo):
    """Over ten seeds; the law has a smooth part that children inherit."""
    best = max(map(law, zoo))
    mean = sum(map(law, zoo)) / zoo.count
    reached = [
        search_assemblies(zoo, law, evaluations=45, generation=5, seed=seed)[0].score for seed in range(10)
    ]
    assert sum(reached) / 10 > (best + mean) / 2
    assert max(reached) == best


def test_bounds_that_leave_nothing_are_named(zoo):
    with pytest.raises(StitchError, match=r"at most 3 MACs\. Raise the bounds"):
        search_assemblies(zoo, law, macs=3)
    with pytest.raises(StitchError, match=r"at most 5 params and 9 MACs\. Raise the bounds"):
        search_assemblies(zoo, law, params=5, macs=9)
    with pytest.raises(StitchError, match=r"at most 0 params\. Raise the bounds"):
        search_assemblies(zoo, law, params=0)


def test_a_space_of_anchors_alone_has_no_new_network(zoo):
    alone = StitchingSpace(list(zoo.outlines.values()), [])
    assert len(search_assemblies(alone, law)) == 3
    with pytest.raises(StitchError, match="no path over a joint"):
        search_assemblies(alone, law, anchors=False)
