import json
import math
from collections import Counter

import pytest
from scipy.stats import chisquare

from stitchable.errors import StitchError
from stitchable.training.samplers.front import FrontSampler


def told(space, losses, **options):
    """A sampler that was told one loss for each of the stitches with these names."""
    sampler = FrontSampler(space, **options)
    sampler.observe(0, {space.stitch(name): loss for name, loss in losses.items()})
    return sampler


ANCHORS = {"a": 2.0, "b": 1.0, "c": 1.5}  # c costs most and is worse than b: 0.5 above the front


def test_at_first_all_candidates_are_alike(space):
    assert FrontSampler(space).weights() == pytest.approx([1 / space.count] * space.count)


def test_excess_is_the_loss_above_the_best_that_costs_no_more(space):
    excess = dict(zip(space, told(space, ANCHORS).excess(), strict=True))
    by_name = {name: excess.pop(space.stitch(name)) for name in ANCHORS}
    assert by_name == {"a": 0.0, "b": 0.0, "c": 0.5}
    assert set(excess.values()) == {math.inf}


def test_of_equal_cost_the_worse_is_off_the_front(outline):
    from stitchable.space.build import build_space

    twins = build_space([outline("a", 3, 2, macs=700), outline("b", 3, 2, macs=700)])
    for losses in ({"a": 2.0, "b": 1.0}, {"b": 2.0, "a": 1.0}):
        excess = dict(zip(map(str, twins), told(twins, losses).excess(), strict=True))
        assert {name: excess[f"{name}[0:3]"] for name in losses} == {
            name: loss - 1.0 for name, loss in losses.items()
        }


def test_weights_are_the_formula(space):
    sampler = told(space, ANCHORS, floor=0.2, neglected=0.3, near=0.25)
    close = {"a": 1.0, "b": 1.0, "c": math.exp(-0.5 / 0.25)}
    unseen = space.count - 3
    for stitch, weight in zip(space, sampler.weights(), strict=True):
        name = next((name for name in ANCHORS if space.stitch(name) == stitch), None)
        # Of the 0.8 that the floor leaves, 0.3 go to the unseen and 0.5 by nearness.
        expected = 0.3 / 0.8 / unseen if name is None else 0.5 / 0.8 * close[name] / sum(close.values())
        assert weight == pytest.approx(expected, rel=1e-12)
    assert sum(sampler.weights()) == pytest.approx(1.0, rel=1e-12)


def test_draws_come_as_often_as_floor_and_weights_say(space):
    sampler = told(space, ANCHORS, seed=3, floor=0.25)
    draws = 300 * space.count
    counts = Counter(sampler(step)[0] for step in range(draws))
    expected = [draws * (0.25 / space.count + 0.75 * weight) for weight in sampler.weights()]
    assert chisquare([counts[stitch] for stitch in space], expected).pvalue > 1e-3


def test_the_estimate_is_an_exponential_mean_that_starts_at_the_first_loss(space):
    sampler, stitch = FrontSampler(space, memory=0.75), space.stitch("b")
    for step, loss in enumerate([4.0, 2.0, 1.0]):
        sampler.observe(step, {stitch: loss})
    estimate = 0.75 * (0.75 * 4.0 + 0.25 * 2.0) + 0.25 * 1.0
    assert sampler.state_dict() == {"visits": {"b[0:4]": 3}, "losses": {"b[0:4]": pytest.approx(estimate)}}


def test_the_neglected_are_those_with_the_fewest_visits(space):
    sampler = FrontSampler(space, floor=0.5, neglected=0.5)
    for number, stitch in enumerate(space):
        for _ in range(1 if number in (4, 7) else 2):
            sampler.observe(0, {stitch: 1.0})
    expected = [0.5 if number in (4, 7) else 0.0 for number in range(space.count)]
    assert sampler.weights() == pytest.approx(expected)


def test_training_concentrates_on_the_front(space):
    """Losses that fall with cost, but for every second stitch, which is far off."""
    sampler, counts = FrontSampler(space, seed=0), Counter()
    order = sorted(space, key=lambda stitch: space.cost(stitch).macs)
    losses = {stitch: 3 - 0.1 * place + (place % 2) for place, stitch in enumerate(order)}
    for step in range(3000):
        stitches = sampler(step)
        counts.update(stitches)
        sampler.observe(step, {stitch: losses[stitch] for stitch in stitches})
    on_front = [stitch for place, stitch in enumerate(order) if place % 2 == 0]
    # All of the 0.6 by nearness and half of the floor of 0.2; a uniform draw gives them a half.
    assert 0.65 * 3000 < sum(counts[stitch] for stitch in on_front) < 0.75 * 3000
    assert min(counts.values()) > 20
    assert len(counts) == space.count


def test_memory_alone_decides_and_survives_json(space):
    def go_on(sampler, steps):
        drawn = []
        for step in steps:
            drawn.append(sampler(step))
            sampler.observe(step, dict.fromkeys(drawn[-1], 1 / (1 + step % 7)))
        return drawn

    first = FrontSampler(space, seed=5, stitches_per_step=2)
    go_on(first, range(40))
    second = FrontSampler(space, seed=5, stitches_per_step=2)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    asked = {step: second(step, 1) for step in reversed(range(100))}
    assert asked == {step: first(step, 1) for step in range(100)}  # asking changes nothing
    assert go_on(first, range(40, 120)) == go_on(second, range(40, 120))
    assert first.state_dict() == second.state_dict()
    blank = FrontSampler(space, seed=5, stitches_per_step=2)
    second.load_state_dict(blank.state_dict())
    assert [second(step) for step in range(50)] == [blank(step) for step in range(50)]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "has visits and losses; got nothing"),
        ({"visits": {"a[0:4]": 1}}, "has visits and losses; got visits"),
        ({"visits": {"a[0:4]": 1}, "losses": {"b[0:4]": 1.0}}, "has visits and losses"),
        ({"visits": {"x[0:4]": 1}, "losses": {"x[0:4]": 1.0}}, r"knows of x\[0:4\], which is none"),
    ],
)
def test_another_memory_is_refused(space, state, message):
    with pytest.raises(StitchError, match=message):
        FrontSampler(space).load_state_dict(state)


def test_a_space_too_large_to_list(huge):
    sampler = FrontSampler(huge, seed=0, candidates=200)
    drawn = [sampler(step)[0] for step in range(300)]
    assert all(stitch in huge for stitch in drawn)
    outside = [stitch for stitch in drawn if stitch not in set(sampler.candidates)]
    assert 30 < len(outside) < 90  # the floor of a fifth: 60 ± 7
    sampler.observe(0, {outside[0]: 1.0})  # no candidate: nothing to remember
    assert sampler.state_dict() == {"visits": {}, "losses": {}}
