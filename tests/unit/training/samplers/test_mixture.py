import json

import pytest
from scipy.stats import chisquare

from stitchable.errors import StitchError
from stitchable.training.samplers.front import FrontSampler
from stitchable.training.samplers.mixture import MixtureSampler
from stitchable.training.samplers.schedule import ScheduleSampler
from stitchable.training.samplers.uniform import UniformSampler


@pytest.fixture
def fixed(space):
    return {name: ScheduleSampler(space, [[name]]) for name in ("a", "b", "c")}


def test_each_is_asked_as_often_as_its_weight_says(space, fixed):
    sampler = MixtureSampler(fixed, {"a": 1, "b": 0, "c": 3}, seed=2)
    names = [sampler(step)[0].anchors[0] for step in range(4000)]
    assert set(names) == {"a", "c"}
    assert chisquare([names.count("a"), names.count("c")], [1000, 3000]).pvalue > 1e-3


def test_the_order_of_names_and_the_size_of_weights_do_not_matter(space, fixed):
    first = MixtureSampler(fixed, {"a": 1, "b": 2, "c": 4}, seed=2)
    second = MixtureSampler(dict(reversed(fixed.items())), {"c": 2.0, "a": 0.5, "b": 1.0}, seed=2)
    steps = [(step, rank) for step in range(200) for rank in range(2)]
    answers = {key: first(*key) for key in steps}
    assert {key: second(*key) for key in reversed(steps)} == answers
    other = MixtureSampler(fixed, {"a": 1, "b": 2, "c": 4}, seed=3)
    assert {key: other(*key) for key in steps} != answers


def test_it_gives_what_the_chosen_one_gives(space):
    members = {"uniform": UniformSampler(space, seed=1), "front": FrontSampler(space, seed=1)}
    sampler = MixtureSampler(members, {"uniform": 1, "front": 1}, seed=1)
    both = [[member(step, 3) for member in members.values()] for step in range(100)]
    given = [sampler(step, 3) for step in range(100)]
    assert all(each in pair for each, pair in zip(given, both, strict=True))
    assert all(given != [pair[number] for pair in both] for number in range(2))


def test_all_observe_and_the_memory_goes_on(space):
    def build():
        members = {"uniform": UniformSampler(space, seed=1), "front": FrontSampler(space, seed=1)}
        return MixtureSampler(members, {"uniform": 1, "front": 1}, seed=1)

    first = build()
    for step in range(30):
        first.observe(step, dict.fromkeys(first(step), 1 + step % 3))
    state = json.loads(json.dumps(first.state_dict()))
    assert state.keys() == {"front"}
    assert sum(state["front"]["visits"].values()) == 30
    second = build()
    assert [second(step) for step in range(30, 90)] != [first(step) for step in range(30, 90)]
    second.load_state_dict(state)
    assert [second(step) for step in range(30, 90)] == [first(step) for step in range(30, 90)]


def test_memories_of_others_are_refused(space, fixed):
    sampler = MixtureSampler(fixed, {"a": 1, "b": 1, "c": 1})
    with pytest.raises(StitchError, match="of a mixture with front; this one has a, b, c"):
        sampler.load_state_dict({"front": {"visits": {}}})
    with pytest.raises(StitchError, match="ScheduleSampler has no memory; got one with visits"):
        sampler.load_state_dict({"a": {"visits": {}}})


@pytest.mark.parametrize(
    "weights", [{"a": 1, "b": 1}, {"a": 1, "b": 1, "c": -1}, {"a": 0, "b": 0, "c": 0}, {}], ids=str
)
def test_weights_that_make_no_mixture(fixed, weights):
    with pytest.raises(StitchError, match="A mixture of a, b, c needs one weight for each"):
        MixtureSampler(fixed, weights)
