"""Mixup and cutmix: pure functions of (seed, step) whose targets say how much of which image there is."""

import numpy as np
import pytest
import torch

from stitchable.data.mixing import Mixing
from stitchable.errors import StitchError

LABELS = torch.tensor([0, 1, 2, 2, 4, 0])


@pytest.fixture
def images():
    """Every image has one value of its own, so that what was mixed can be read off."""
    return torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]).reshape(6, 1, 1, 1).expand(6, 2, 8, 8).contiguous()


def make(**chosen):
    return Mixing(**{"classes": 5, "mixup": 0.8, "cutmix": 1.0, "seed": 3, **chosen})


def smoothed(labels, smoothing):
    return (1 - smoothing) * torch.eye(5)[labels] + smoothing / 5


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_targets_say_how_much_of_which_image_there_is(images, mixup, cutmix, smoothing):
    mixing, seen = make(mixup=mixup, cutmix=cutmix, smoothing=smoothing), set()
    for step in range(12):
        mixed, targets = mixing(images, LABELS, step=step)
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
        blended = bool((mixed.std((1, 2, 3)) < 1e-5).all())
        # Pair i with 5 - i: the share of an image, from its mean value.
        own, other = images[:, 0, 0, 0], images.flip(0)[:, 0, 0, 0]
        share = (mixed.mean((1, 2, 3)) - other) / (own - other)
        torch.testing.assert_close(share, share[:1].expand(6), atol=1e-4, rtol=0)
        expected = share[:, None] * smoothed(LABELS, smoothing) + (1 - share[:, None]) * smoothed(
            LABELS.flip(0), smoothing
        )
        torch.testing.assert_close(targets, expected, atol=1e-4, rtol=0)
        assert mixup or set(mixed[0].unique().tolist()) <= {1.0, 32.0}
        seen.add((blended, round(share[0].item(), 3)))
    assert len(seen) > 6  # one draw for each step


def test_a_draw_depends_on_seed_and_step_alone(images):
    first = [make()(images, LABELS, step=step) for step in range(6)]
    np.random.seed(99)
    mixing = make()
    for step in reversed(range(6)):
        mixed, targets = mixing(images, LABELS, step=step)
        assert torch.equal(mixed, first[step][0])
        assert torch.equal(targets, first[step][1])
    other = [make(seed=4)(images, LABELS, step=step)[1] for step in range(6)]
    assert not any(torch.equal(a[1], b) for a, b in zip(first, other, strict=True))


def test_nothing_else_is_touched(images):
    before, labels = images.clone(), LABELS.clone()
    np.random.seed(5)
    expected = np.random.rand(3)
    np.random.seed(5)
    state = torch.get_rng_state()
    for step in range(4):
        make()(images, LABELS, step=step)
    assert np.array_equal(np.random.rand(3), expected)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, before)
    assert torch.equal(LABELS, labels)


def test_the_probability_is_the_share_of_mixed_batches(images):
    mixing = make(probability=0.25)
    mixed = sum(not torch.equal(mixing(images, LABELS, step=step)[0], images) for step in range(400))
    assert abs(mixed - 100) < 4 * (400 * 0.25 * 0.75) ** 0.5


def test_an_odd_batch_is_refused(images):
    with pytest.raises(StitchError, match=r"pair the images of a batch; got 5\. Give an even train"):
        make()(images[:5], LABELS[:5], step=0)
