import random
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from stitchable.errors import StitchError
from stitchable.reassembly.climb import State, climb
from stitchable.reassembly.part_similarity import PartSimilarity
from stitchable.reassembly.partition import (
    cuts_in_reach,
    epsilon_by_anchor,
    even_cuts,
    partition_zoo,
    zoo_of,
)
from stitchable.reassembly.parts import ModelPart


def ways_to_cut(outline, parts, epsilon):
    """All cuts with sizes by MACs within ε of an even share."""
    macs = [block.macs for block in outline.blocks]
    for inner in combinations(range(1, outline.depth), parts - 1):
        cuts = (0, *inner, outline.depth)
        shares = [sum(macs[start:stop]) * parts / sum(macs) for start, stop in pairwise(cuts)]
        if all(abs(share - 1) <= epsilon for share in shares):
            yield [ModelPart(outline.name, *ends) for ends in pairwise(cuts)]


def best_score(outlines, similarity, count, epsilon):
    """All cuts, all assignments of their parts to sets, and the best medoid of every set."""

    def alike(one, other):
        pairs = (one.before, other.before), (one.behind, other.behind)
        return sum(1 if a == b else similarity[min(a, b), max(a, b)] for a, b in pairs)

    best = -np.inf
    for ways in product(*(list(ways_to_cut(each, count, epsilon)) for each in outlines)):
        parts = [part for way in ways for part in way]
        table = np.array([[alike(part, other) for other in parts] for part in parts])
        for labels in product(range(count), repeat=len(parts)):
            members = [[place for place, label in enumerate(labels) if label == s] for s in range(count)]
            best = max(best, sum(table[np.ix_(each, each)].sum(0).max() for each in members if each))
    return best


@pytest.mark.parametrize("seed", range(8))
def test_the_best_of_restarts_is_that_of_all_cuts_and_assignments(zoo, random_similarity, seed):
    depths, count = (({"a": 4, "b": 3, "c": 4}, 2), ({"a": 4, "b": 4}, 3))[seed % 2]
    outlines = zoo(depths, seed=seed)
    similarity = random_similarity(outlines, seed)
    expected = best_score(outlines, similarity, count, 0.9)
    found = partition_zoo(outlines, similarity, parts=count, epsilon=0.9, seed=seed)
    assert found.score == pytest.approx(expected, abs=1e-12)


def test_the_score_is_that_of_parts_and_medoids(zoo, random_similarity):
    outlines = zoo({"a": 9, "b": 12, "c": 7})
    similarity = random_similarity(outlines)
    found = partition_zoo(outlines, similarity, parts=3)
    cuts = [(each.name, cut) for each in outlines for cut in range(each.depth + 1)]
    alike = PartSimilarity(cuts, similarity)
    to_medoid = {part: [alike(part, medoid) for medoid in found.medoids] for part in found.parts}
    assert found.score == pytest.approx(sum(to_medoid[part][number] for part, number in found.sets.items()))
    for part, number in found.sets.items():  # and no part is more like the medoid of another set
        assert to_medoid[part][number] == max(to_medoid[part])
    assert [found.sets[medoid] for medoid in found.medoids] == [0, 1, 2]
    places = {part: number % 3 for number, part in enumerate(found.parts)}
    means = [np.mean([places[part] for part, s in found.sets.items() if s == number]) for number in range(3)]
    assert means == sorted(means)


@pytest.mark.parametrize("count", [2, 4])
def test_no_restart_ever_loses(zoo, random_similarity, count):
    outlines = zoo({"a": 9, "b": 12, "c": 14, "d": 8}, seed=3)
    similarity = random_similarity(outlines, 3)
    even = even_cuts(outlines, parts=count, epsilon=0.4, size="macs")
    judge = zoo_of(even, PartSimilarity(cuts_in_reach(outlines, parts=count, epsilon=0.4), similarity))
    cuts = np.array([[each.draw(turn, name) for name, each in even.items()] for turn in range(20)])
    medoids = np.array([random.Random(turn).sample(range(4 * count), count) for turn in range(20)])
    state, history = climb(judge, State(cuts, medoids))
    steps = np.diff(history, axis=0)
    assert len(steps) > 3
    assert (steps >= 0).all()
    assert (history[-1] > history[0]).all()
    assert np.allclose(history[-1], judge.score(state), atol=1e-12)


def test_a_seed_gives_one_partition(zoo, random_similarity):
    outlines = zoo({"a": 9, "b": 12, "c": 7})
    similarity = random_similarity(outlines)
    one, *others = (partition_zoo(outlines, similarity, restarts=1, seed=seed) for seed in (5, 5, 6, 7, 8))
    assert one == others[0]
    assert any(one != other for other in others)


def test_equal_parts_of_two_copies_have_the_same_sets(zoo):
    outlines = zoo({"a": 8, "copy": 8, "other": 10}, cheapest=100, dearest=100)
    rng = np.random.default_rng(0)
    places = {
        (each.name, cut): np.array([3 * cut / each.depth, *rng.normal(0, 0.1, 3)])
        for each in outlines
        for cut in range(each.depth + 1)
    }
    places |= {("copy", cut): places["a", cut] for cut in range(9)}
    similarity = {
        (a, b): float(np.exp(-np.square(places[a] - places[b]).sum())) for a, b in combinations(places, 2)
    }
    found = partition_zoo(outlines, similarity)
    assert found.cuts["a"] == found.cuts["copy"]
    for part, number in found.sets.items():
        if part.anchor == "a":
            assert found.sets[ModelPart("copy", part.start, part.stop)] == number


def test_each_models_size_limits_are_its_own(zoo, random_similarity):
    """In the released code those of the last model hold for all."""
    small, large = zoo({"small": 8}, seed=1), zoo({"large": 20}, seed=2, cheapest=8000, dearest=12000)
    for outlines in (small + large, large + small):
        found = partition_zoo(outlines, random_similarity(outlines), restarts=5)
        for each in outlines:
            macs = [block.macs for block in each.blocks]
            for start, stop in pairwise(found.cuts[each.name]):
                assert 0.8 <= sum(macs[start:stop]) * 4 / sum(macs) <= 1.2
        reach = set(cuts_in_reach(outlines))
        assert reach == set(cuts_in_reach(small)) | set(cuts_in_reach(large))


def test_an_anchor_of_coarse_blocks_is_cut_as_evenly_as_it_can_be(zoo, random_similarity):
    outlines = zoo({"fine": 24, "coarse": 9}, cheapest=100, dearest=100)
    epsilons = epsilon_by_anchor(outlines)
    assert epsilons == {"fine": 0.2, "coarse": pytest.approx(1 / 3)}
    found = partition_zoo(outlines, random_similarity(outlines), restarts=3)
    assert sorted(b - a for a, b in pairwise(found.cuts["coarse"])) == [2, 2, 2, 3]
    assert {b - a for a, b in pairwise(found.cuts["fine"])} <= {5, 6, 7}


def test_only_cuts_in_reach_are_asked_for(zoo, random_similarity):
    outlines = zoo({"a": 12, "b": 16})
    similarity = random_similarity(outlines)
    reach = set(cuts_in_reach(outlines))
    fewer = {pair: value for pair, value in similarity.items() if set(pair) <= reach}
    assert len(fewer) < len(similarity)
    assert partition_zoo(outlines, fewer, restarts=3) == partition_zoo(outlines, similarity, restarts=3)
    gone = next(iter(fewer))
    with pytest.raises(StitchError, match=f"{gone[0][0]}@{gone[0][1]} and .* is missing"):
        partition_zoo(outlines, {pair: value for pair, value in fewer.items() if pair != gone})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parts": 1}, "Got 1 parts"),
        ({"epsilon": -0.1}, "ε = -0.1"),
        ({"restarts": 0}, "Got 0 restarts"),
        ({"size": "flops"}, "Unknown size 'flops'"),
        ({"parts": 9}, "a has 8 blocks"),
    ],
)
def test_what_makes_no_sense_is_refused(zoo, random_similarity, arguments, message):
    outlines = zoo({"a": 8, "b": 9})
    with pytest.raises(StitchError, match=message):
        partition_zoo(outlines, random_similarity(outlines), **arguments)
    with pytest.raises(StitchError, match="names that differ; got a, a"):
        partition_zoo([outlines[0]] * 2, {})
