import hashlib

from scipy.stats import chisquare

from stitchable.space.draw import uniform_index


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
