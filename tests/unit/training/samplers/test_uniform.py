import hashlib
import random
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from stitchable.errors import StitchError
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.prune import prune
from stitchable.training.samplers.uniform import UniformSampler


@pytest.fixture(scope="module")
def outlines(tiny_vit):
    return [tiny_vit(name, width, depth=6).outline for name, width in (("small", 4), ("large", 6))]


@pytest.fixture(scope="module")
def space(outlines):
    return build_space(outlines)


def test_the_stitch_of_a_step_depends_on_seed_and_step_alone(space):
    steps = list(range(200))
    forwards = {step: UniformSampler(space, seed=3)(step) for step in steps}
    sampler = UniformSampler(space, seed=3)
    random.Random(0).shuffle(steps)
    assert {step: sampler(step) for step in steps} == forwards
    assert {step: sampler(step) for step in steps} == forwards  # asked again, it answers the same


def test_other_seeds_give_other_sequences(space):
    sequences = {
        tuple(str(UniformSampler(space, seed=seed)(step)) for step in range(50)) for seed in range(20)
    }
    assert len(sequences) == 20
    first, second = (UniformSampler(space, seed=seed) for seed in (0, 1))
    # Independent sequences over n stitches agree in one step of n.
    agree = sum(first(step) == second(step) for step in range(4000))
    assert chisquare([agree, 4000 - agree], [4000 / space.count, 4000 * (1 - 1 / space.count)]).pvalue > 1e-3


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_every_stitch_is_drawn_alike(space, seed):
    sampler, draws = UniformSampler(space, seed=seed), 200 * space.count
    counts = Counter(sampler(step)[0] for step in range(draws))
    assert counts.keys() == set(space)  # anchors included
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_successive_draws_are_independent(space):
    sampler, size = UniformSampler(space, seed=0), space.count
    places = [space.index(sampler(step)[0]) for step in range(20 * size * size)]
    pairs = np.zeros((size, size))
    for first, second in zip(places[::2], places[1::2], strict=True):
        pairs[first, second] += 1
    assert chisquare(pairs.ravel()).pvalue > 1e-3


def test_a_pruned_space_gives_its_members_alone(space):
    members = prune(space, ["deeper"]).space
    assert members.count < space.count
    sampler = UniformSampler(members, seed=0)
    counts = Counter(sampler(step)[0] for step in range(200 * members.count))
    assert counts.keys() == set(members.members)
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_a_space_too_large_to_list_is_drawn_from(outlines):
    huge = build_space(outlines, SpaceOptions(kernel=6, direction="both", joints=12))
    assert huge.count > 10**7
    sampler = UniformSampler(huge, seed=0)
    drawn = [sampler(step)[0] for step in range(50)]
    assert all(stitch in huge for stitch in drawn)
    assert len(set(drawn)) == 50


def test_no_global_random_state_is_touched(space):
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    UniformSampler(space, seed=0)(7)
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        torch.manual_seed(seed)
        drawn.append([UniformSampler(space, seed=0)(step) for step in range(20)])
    assert drawn[0] == drawn[1]


def test_one_stitch_per_step_is_the_hash_of_the_step(space):
    """Logs of earlier versions hold these; the definition is the test's own."""
    sampler = UniformSampler(space, seed=3)
    for step in range(20):
        digest = hashlib.blake2b(f"uniform/3/{step}".encode(), digest_size=32).hexdigest()
        assert sampler(step) == (space[int(digest, 16) % space.count],)


def test_every_set_of_different_stitches_is_drawn_alike(space):
    members = prune(space, ["deeper", "equal"]).space
    sampler = UniformSampler(members, seed=0, stitches_per_step=2)
    pairs = [frozenset(pair) for pair in combinations(members, 2)]
    drawn = [sampler(step) for step in range(40 * len(pairs))]
    counts = Counter(map(frozenset, drawn))
    assert counts.keys() == set(pairs)
    assert chisquare(list(counts.values())).pvalue > 1e-3
    for stitches in drawn:
        costs = [space.cost(stitch).macs for stitch in stitches]
        assert costs == sorted(costs, reverse=True)


def test_a_step_can_have_all_stitches_and_no_more(space):
    drawn = UniformSampler(space, stitches_per_step=space.count)(0)
    assert set(drawn) == set(space)
    assert len(drawn) == space.count
    with pytest.raises(StitchError, match=rf"at most the {space.count} stitches to draw from; got"):
        UniformSampler(space, stitches_per_step=space.count + 1)


def test_ranks_draw_for_themselves(space):
    sampler = UniformSampler(space, seed=1)
    by_rank = [[sampler(step, rank)[0] for step in range(4000)] for rank in range(3)]
    for first, second in combinations(by_rank, 2):
        agree = sum(one == other for one, other in zip(first, second, strict=True))
        expected = [4000 / space.count, 4000 * (1 - 1 / space.count)]
        assert chisquare([agree, 4000 - agree], expected).pvalue > 1e-3
