"""Which batches of a fit are held out, and which come in which part."""

from itertools import pairwise

import pytest
import torch

from stitchable.data.loader import image_loader
from stitchable.data.sources import open_images
from stitchable.errors import StitchError
from stitchable.ranks import ALONE, Ranks
from stitchable.runs.config import FitConfig, RunConfig
from stitchable.runs.fit_images import FitImages, plan_batches


@pytest.mark.parametrize("images", [2, 20, 333, 10_000])
@pytest.mark.parametrize("size", [1, 7, 50])
def test_parts_grow_to_the_last_batch(images, size):
    if images <= size:
        with pytest.raises(StitchError, match=f"Of {images} images in batches of {size} none"):
            plan_batches(images, FitConfig(ridge="auto", batch_size=size))
        return
    last = -(-images // size)
    plan = plan_batches(images, FitConfig(images="auto", batch_size=size))
    assert 1 <= plan.held_out <= max(1, last / 5, 500 / size)
    assert list(plan.ends) == sorted(set(plan.ends))
    assert plan.ends[-1] == last
    fitted = [end - plan.held_out for end in plan.ends]
    assert fitted[0] * size <= max(250, size)
    for before, after in pairwise(fitted[:-1]):
        assert after == 2 * before
    assert plan_batches(images, FitConfig(batch_size=size)) == (plan.held_out, (last,))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_processes_share_the_very_batches_of_one(stitched_vits, count):
    network, source = stitched_vits(), open_images("digits:train")
    config = RunConfig(fit=FitConfig(images="auto", images_limit=790, batch_size=60), seed=3)
    loader = image_loader(source, network.input_spec, batch_size=60, shuffle_seed=3, limit=None)
    expected = [images for (images, _), _ in zip(loader, range(14), strict=False)]
    expected[13] = expected[13][: 790 - 13 * 60]
    found = {}
    for rank in range(count):
        images = FitImages(source, network, config, Ranks(rank, count))
        held_out, ends = images.plan
        assert (held_out, ends) == (2, (6, 10, 14))
        parts = [list(images.held_out()), *map(list, images.parts())]
        for (first, end), part in zip(((0, 2), (2, 6), (6, 10), (10, 14)), parts, strict=True):
            mine = [number for number in range(first, end) if number % count == rank]
            found.update(zip(mine, part, strict=True))
    assert sorted(found) == list(range(14))
    assert all(torch.equal(found[number], expected[number]) for number in found)
    assert sum(map(len, FitImages(source, network, config, ALONE).all())) == 790
