import math
import random
from typing import get_args

import pytest

from stitchable.errors import StitchError
from stitchable.training.samplers.build import BUILDERS, build_sampler
from stitchable.training.samplers.options import MIXABLE, Kind, SamplerOptions
from stitchable.training.samplers.uniform import UniformSampler


@pytest.fixture
def options(tmp_path):
    """Options of a kind, with what it cannot do without."""
    (tmp_path / "steps.txt").write_text("a c\nb\na[0:1]+b[0:4]\n")

    def make(kind, **changes):
        needed = {
            "mixture": {"weights": dict.fromkeys(MIXABLE, 1.0)},
            "schedule": {"file": str(tmp_path / "steps.txt")},
        }
        return SamplerOptions(kind=kind, **{**needed.get(kind, {}), **changes})

    return make


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("per_rank", [False, True])
def test_every_kind_is_a_pure_function_of_seed_step_and_rank(space, options, kind, per_rank):
    if kind == "schedule" and per_rank:
        return
    chosen = options(kind, per_rank=per_rank)
    keys = [(step, rank) for step in range(40) for rank in range(3)]
    answers = {key: build_sampler(space, chosen, seed=4)(*key) for key in keys}
    random.Random(0).shuffle(keys)
    sampler = build_sampler(space, chosen, seed=4)
    assert {key: sampler(*key) for key in keys} == answers
    assert all(len(set(stitches)) == len(stitches) >= 1 for stitches in answers.values())
    assert all(stitch in space for stitches in answers.values() for stitch in stitches)
    alike = all(answers[step, 0] == answers[step, rank] for step, rank in keys)
    assert alike is not per_rank
    other = build_sampler(space, chosen, seed=5)
    assert ({key: other(*key) for key in keys} == answers) is (kind == "schedule")
    assert sampler.state_dict() == build_sampler(space, chosen, seed=9).state_dict()


def test_every_kind_has_its_builder_and_nothing_else():
    assert BUILDERS.keys() == set(get_args(Kind))
    assert set(MIXABLE) == BUILDERS.keys() - {"mixture", "schedule"}


def test_nothing_said_is_algorithm_1(space):
    sampler, plain = build_sampler(space, seed=7), UniformSampler(space, seed=7)
    assert [sampler(step, step % 3) for step in range(60)] == [plain(step) for step in range(60)]


def test_options_reach_the_samplers(space, options):
    assert len(build_sampler(space, options("uniform", stitches_per_step=3))(0)) == 3
    assert len(build_sampler(space, options("front", stitches_per_step=4))(0)) == 4
    assert len(build_sampler(space, options("sandwich", random=3))(0)) == 5
    balanced = BUILDERS["balanced"](space, options("balanced", gap=1e9), 0)
    assert [len(group) for group in balanced.groups] == [space.count]
    few = BUILDERS["front"](space, options("front", candidates=5, near=0.5, memory=0.1, floor=0.3), 0)
    assert (len(few.candidates), few.near, few.memory, few.floor) == (5, 0.5, 0.1, 0.3)


def test_memory_passes_through(space, options):
    first, second = (build_sampler(space, options("front"), seed=1) for _ in range(2))
    for step in range(20):
        first.observe(step, dict.fromkeys(first(step), 1.0 + step % 2))
    assert sum(first.state_dict()["visits"].values()) == 20
    second.load_state_dict(first.state_dict())
    assert [first(step) for step in range(20, 80)] == [second(step) for step in range(20, 80)]
    with pytest.raises(StitchError, match="UniformSampler has no memory; got one with visits, losses"):
        build_sampler(space).load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "unifrm"}, r"^Unknown train\.sampler\.kind 'unifrm'\. Nearest: uniform\.$"),
        ({"stitches_per_step": 0}, r"^train\.sampler\.stitches_per_step must be at least 1; got 0\.$"),
        (
            {"gap": -1.0},
            r"^train\.sampler\.gap must be finite and at least 0, in MACs, or null; got -1\.0\.$",
        ),
        ({"random": -1}, "random must be at least 0"),
        ({"floor": 0.0}, r"floor must be a share in \(0, 1\]; got 0\.0"),
        ({"floor": 0.6, "neglected": 0.5}, r"neglected must be 0 to the 0\.4 that floor leaves; got 0\.5"),
        ({"near": 0.0}, "near must be positive"),
        ({"memory": 1.0}, r"memory must be a share in \[0, 1\); got 1\.0"),
        ({"candidates": 1}, "candidates must be at least 2"),
        ({"kind": "mixture"}, r"weights must be finite and at least 0, for a mixture .*; got \{\}"),
        ({"kind": "mixture", "weights": {"front": 0.0}}, "for a mixture one of them positive"),
        ({"weights": {"front": -1.0, "uniform": 2.0}}, "weights must be finite and at least 0"),
        (
            {"weights": {"fornt": 1.0}},
            r"^Unknown kind 'fornt' in train\.sampler\.weights\. Nearest: front, uniform\.$",
        ),
        ({"kind": "mixture", "weights": {"schedule": 1.0}}, "Unknown kind 'schedule'"),
        ({"kind": "mixture", "weights": {"front": math.inf}}, "weights must be finite"),
        ({"gap": math.inf}, "gap must be finite"),
        ({"near": math.inf}, "near must be positive and finite"),
        (
            {"file": "x"},
            r"^train\.sampler\.file is given, and .* uniform reads none\. Set the kind to schedule",
        ),
        ({"weights": {"front": 1.0}}, r"^train\.sampler\.weights is given, .* Set the kind to mixture"),
        (
            {"kind": "sandwich", "stitches_per_step": 4},
            r"^train\.sampler\.stitches_per_step is 4, and sandwich does not read it: train\.sampler\.random",
        ),
        ({"kind": "schedule", "file": "x", "stitches_per_step": 2}, "schedule does not read it"),
        ({"kind": "schedule"}, r"^train\.sampler\.file must be a text file for the kind schedule; got None"),
        ({"kind": "schedule", "file": "x", "per_rank": True}, "per_rank must be false for a schedule"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(wrong, message):
    with pytest.raises(StitchError, match=message):
        SamplerOptions(**wrong)


def test_what_another_kind_has_left_behind_is_no_mistake():
    left = SamplerOptions(kind="balanced", weights={"front": 1.0}, file="x")
    assert left.kind == "balanced"
    assert (
        SamplerOptions(kind="mixture", weights={"sandwich": 1.0}, stitches_per_step=4).stitches_per_step == 4
    )


def test_a_space_too_large_to_list_serves_every_kind(huge, options):
    for kind in MIXABLE:
        sampler = build_sampler(huge, options(kind, candidates=100))
        assert all(stitch in huge for step in range(10) for stitch in sampler(step))
