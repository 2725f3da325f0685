import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.cost.parts import PartCost
from stitchable.errors import StitchError
from stitchable.reassembly.parts import ModelPart, Partition
from stitchable.reassembly.path_program import PathProgram
from stitchable.reassembly.program import best_assemblies
from stitchable.reassembly.space import reassembly_space
from stitchable.space.best import PathScores, best_predicted
from stitchable.space.joint import Joint
from stitchable.space.prune import ListedSpace
from stitchable.space.space import StitchingSpace


def positions_space(outlines, count=3):
    cuts = {each.name: tuple(each.depth * k // count for k in range(count + 1)) for each in outlines}
    parts = [ModelPart(name, at[k], at[k + 1]) for name, at in cuts.items() for k in range(count)]
    sets = {part: number % count for number, part in enumerate(parts)}
    return reassembly_space(outlines, Partition(cuts, sets, tuple(parts[:count]), 0.0), order="any")


def scores_of(space, seed):
    draw = random.Random(seed)
    return PathScores(
        {name: draw.uniform(-2, 2) for name in space.outlines},
        {name: [draw.uniform(-1, 1) for _ in each.blocks] for name, each in space.outlines.items()},
        {joint: draw.uniform(-1, 0.5) for joint in space.joints},
    )


def brute_force(space, scores, params, macs, *, anchors=True):
    """All paths within the bounds, the best first."""
    found = []
    for stitch in space:
        cost = space.cost(stitch)
        if cost.params <= params and cost.macs <= macs and (anchors or stitch.joints):
            found.append((scores.of(space, stitch), stitch))
    return sorted(found, key=lambda each: -each[0])


def check(space, scores, params, macs, *, top=4, anchors=True):
    expected = brute_force(space, scores, params, macs, anchors=anchors)
    if not expected:
        with pytest.raises(StitchError, match="No path of the space"):
            best_assemblies(space, scores, params=params, macs=macs, top=top, anchors=anchors)
        return
    found = best_assemblies(space, scores, params=params, macs=macs, top=top, anchors=anchors)
    assert [each.score for each in found] == pytest.approx([score for score, _ in expected[:top]], abs=1e-9)
    for each in found:
        cost = space.cost(each.stitch)
        assert (each.macs, each.params) == (cost.macs, cost.params)
        assert each.score == scores.of(space, each.stitch)
    assert len({each.stitch for each in found}) == len(found) == min(top, len(expected))


def quantile(space, share, cost):
    values = sorted(getattr(space.cost(stitch), cost) for stitch in space)
    return values[int(share * (len(values) - 1))]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.booleans(), st.sampled_from([200, 10**9]))
def test_the_best_reassemblies_are_those_of_the_list(zoo, seed, small, cheap, anchors, dearest):
    space = positions_space(zoo({"a": 3, "b": 5, "c": 4}, seed=seed, cheapest=1, dearest=dearest))
    params, macs = quantile(space, small, "params"), quantile(space, cheap, "macs")
    check(space, scores_of(space, seed), params, macs, anchors=anchors)


@pytest.mark.parametrize("seed", range(6))
def test_paths_of_any_space_are_those_of_the_list(zoo, seed):
    """Joints that lead in circles, layers that are shared, blocks that run twice."""
    draw = random.Random(seed)
    outlines = zoo({"a": 4, "b": 3}, seed=seed, cheapest=1, dearest=200)
    joints = [
        Joint(front, leave, end, enter, f"layer{draw.randrange(4)}")
        for front, end in (("a", "b"), ("b", "a"))
        for leave in (1, 2, 3)
        for enter in (0, 1, 2)
        if draw.random() < 0.6
    ]
    space = StitchingSpace(outlines, joints, most_joints=3)
    for share in (0.1, 0.5):
        params, macs = quantile(space, share, "params"), quantile(space, 1 - share, "macs")
        check(space, scores_of(space, seed), params, macs, top=3)
    program = PathProgram(space, scores_of(space, seed))
    for cost in ("params", "macs"):
        assert program.least(cost) == quantile(space, 0, cost)


def test_params_that_paths_share_are_modelled(zoo):
    """So few paths are looked at again: what the program takes to be within a bound is."""
    outlines = zoo({"a": 3, "b": 3})
    joints = [Joint("a", leave, "b", enter, "one") for leave in (1, 2, 3) for enter in (0, 1, 2)]
    space = StitchingSpace(outlines, [*joints, Joint("b", 1, "a", 0, "back")], most_joints=2)
    for share in (0.0, 0.3, 0.7):
        bound = quantile(space, share, "params")
        within = {stitch for stitch in space if space.cost(stitch).params <= bound}
        program = PathProgram(space, scores_of(space, 0), params=bound)
        assert set(program.best_first()) == within
        assert program.rejected == 0


def test_params_that_parts_share_count_once(zoo):
    """Blocks of both anchors hold the same: together they are within a bound, added up they are not."""
    outlines = [
        replace(each, blocks=(*each.blocks[:-1], PartCost(100, (("shared", 10_000),))))
        for each in zoo({"a": 3, "b": 3})
    ]
    middle = replace(
        outlines[0], blocks=(outlines[0].blocks[0], outlines[0].blocks[2], outlines[0].blocks[2])
    )
    space = positions_space([middle, outlines[1]])
    wanted = next(each for each in space if str(each) == "a[0:2]+b[2:3]")
    scores = scores_of(space, 0)
    scores = replace(scores, joints=dict.fromkeys(space.joints, 0.0), ends={"a": -9.0, "b": 0.0})
    scores = replace(scores, blocks={"a": [0.0, 5.0, 0.0], "b": [1.0, 0.0, 0.0]})
    params = space.cost(wanted).params
    assert params < 20_000
    check(space, scores, params + 200, 10**9)
    assert wanted in [each.stitch for each in best_assemblies(space, scores, params=params + 200)]


@pytest.mark.parametrize("seed", range(3))
def test_with_a_bound_on_macs_alone_it_is_that_of_dynamic_programming(zoo, seed):
    space = positions_space(zoo({"a": 8, "b": 9, "c": 12, "d": 7}, seed=seed, cheapest=1), count=4)
    scores = scores_of(space, seed)
    for share in (0.1, 0.4, 1.0):
        macs = quantile(space, share, "macs")
        expected = best_predicted(space, scores, macs)
        found = best_assemblies(space, scores, macs=macs, top=1)[0]
        assert found.score == pytest.approx(expected.score, abs=1e-9)


def test_a_list_is_gone_through(zoo):
    space = positions_space(zoo({"a": 3, "b": 5, "c": 4}))
    check(ListedSpace(space, list(space)[::3]), scores_of(space, 1), 10**9, quantile(space, 0.5, "macs"))


def test_of_equal_scores_the_cheapest_come_first(zoo):
    space = positions_space(zoo({"a": 3, "b": 4}, cheapest=1))
    nothing = PathScores(
        dict.fromkeys(space.outlines, 0.0),
        {name: [0.0] * each.depth for name, each in space.outlines.items()},
        dict.fromkeys(space.joints, 0.0),
    )
    found = best_assemblies(space, nothing, top=3)
    assert [each.macs for each in found] == sorted(space.cost(stitch).macs for stitch in space)[:3]
    assert found == best_assemblies(space, nothing, top=3)


def test_what_cannot_be_reached_is_named(zoo):
    space = positions_space(zoo({"a": 3, "b": 5}, cheapest=1))
    scores = scores_of(space, 0)
    least = {cost: min(getattr(space.cost(each), cost) for each in space) for cost in ("params", "macs")}
    message = f"at most {least['macs'] - 1:,} MACs; .* the cheapest {least['macs']:,} MACs"
    with pytest.raises(StitchError, match=message):
        best_assemblies(space, scores, macs=least["macs"] - 1)
    with pytest.raises(StitchError, match=f"the smallest has {least['params']:,} params"):
        best_assemblies(space, scores, params=least["params"] - 1)
    with pytest.raises(StitchError, match="Got top 0"):
        best_assemblies(space, scores, top=0)


def test_bounds_that_hold_one_by_one_and_not_together(zoo):
    small, cheap = zoo({"small": 3}, seed=1), zoo({"cheap": 3}, seed=2)
    dear = [replace(each, blocks=tuple(PartCost(900, part.params) for part in each.blocks)) for each in small]
    large = [
        replace(
            each,
            blocks=tuple(
                PartCost(part.macs, ((label, 9000),)) for part in each.blocks for label, _ in part.params
            ),
        )
        for each in cheap
    ]
    space = positions_space([*dear, *large])
    costs = [space.cost(stitch) for stitch in space]
    params, macs = min(each.params for each in costs), min(each.macs for each in costs)
    within = min(each.macs for each in costs if each.params <= params)
    with pytest.raises(StitchError, match=f"within {params:,} params the cheapest has {within:,} MACs"):
        best_assemblies(space, scores_of(space, 0), params=params, macs=macs)
