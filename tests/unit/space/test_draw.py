import hashlib
from collections import Counter

from scipy.stats import chisquare

from stitchable.space.draw import distinct, index_at, uniform_index, weighted_index


def test_is_the_hash_that_it_says():
    digest = hashlib.blake2b(b"3/train/17", digest_size=32).hexdigest()
    assert uniform_index(1000, 3, "train", 17) == int(digest, 16) % 1000


def test_is_uniform_over_a_small_range():
    draws = [uniform_index(7, "seed", step) for step in range(7000)]
    assert set(draws) == set(range(7))
    assert chisquare([draws.count(value) for value in range(7)]).pvalue > 0.001


def test_is_uniform_over_a_range_that_no_float_can_tell_apart():
    count = 10**30
    draws = [uniform_index(count, step) for step in range(4000)]
    assert len(set(draws)) == len(draws)
    tenths = [draw * 10 // count for draw in draws]
    assert chisquare([tenths.count(value) for value in range(10)]).pvalue > 0.001


def test_depends_on_every_part_of_the_key():
    keys = [(0, 1), (1, 0), (0, 2), ("0", 1, 1)]
    assert len({uniform_index(10**30, *key) for key in keys}) == len(keys)


def test_pieces_are_as_long_as_their_weights_say():
    weights = [0.0, 3.0, 0.0, 0.0, 1.0, 6.0, 0.0]  # a tenth each is a hundred of a thousand points
    found = Counter(index_at(weights, (point + 0.5) / 1000) for point in range(1000))
    assert found == {1: 300, 4: 100, 5: 600}
    assert index_at(weights, 0.0) == 1
    assert index_at([2.0], 1 - 2**-53) == 0
    assert index_at([1e-300, 1.0, 1e-300], 1 - 2**-53) == 1


def test_weighted_draws_are_a_pure_function_of_weights_and_key():
    weights = [0.5, 0.25, 0.25]
    draws = [weighted_index(weights, "seed", step) for step in range(4000)]
    assert draws == [weighted_index([8, 4, 4], "seed", step) for step in range(4000)]  # ratios alone count
    assert chisquare([draws.count(0), draws.count(1), draws.count(2)], [2000, 1000, 1000]).pvalue > 0.001


def test_distinct_keeps_what_is_new_in_order():
    given = [3, 3, 1, 3, 2, 1, 4]
    assert distinct(given.__getitem__, 3) == [3, 1, 2]
    assert distinct(given.__getitem__, 2, taken=[3, 5]) == [1, 2]
    assert distinct(given.__getitem__, 0, taken=[3]) == []
