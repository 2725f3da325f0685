import random

import pytest

from stitchable.errors import StitchError
from stitchable.space.best import PathScores, best_predicted, scored_front
from stitchable.space.prune import ListedSpace


def scores_of(space, seed):
    """Whole numbers, so that sums are exact in any order."""
    draw = random.Random(seed)
    return PathScores(
        {name: draw.randint(-20, 20) for name in space.outlines},
        {name: [draw.randint(-9, 9) for _ in outline.blocks] for name, outline in space.outlines.items()},
        {joint: draw.randint(-30, 5) for joint in space.joints},
    )


def score_all(space, scores):
    """Score and MACs, below zero, of every stitch: the greatest of these is the best."""
    return [(scores.of(space, each), -space.cost(each).macs) for each in space]


def best_of(scored, budget):
    """Highest score under a budget, and the fewest MACs that reach it."""
    score, macs = max(each for each in scored if -each[1] <= budget)
    return score, -macs


def test_a_score_adds_up_along_the_path(uneven):
    space = uneven(0)
    scores = scores_of(space, 0)
    joint = next(each for each in space.joints if each.leave == 1)
    stitch = space.through([joint])
    expected = scores.ends[joint.end] + scores.joints[joint] + scores.blocks[joint.front][0]
    assert scores.of(space, stitch) == expected + sum(scores.blocks[joint.end][joint.enter :])


@pytest.mark.parametrize("seed", range(12))
def test_the_best_under_every_budget_is_that_of_the_list(uneven, seed):
    space = uneven(seed, joints=20, most=seed % 4)
    scores = scores_of(space, seed)
    front = scored_front(space, scores)
    assert front.gap == 0
    for each in front.stitches:
        assert (each.macs, each.score) == (space.cost(each.stitch).macs, scores.of(space, each.stitch))
    scored = score_all(space, scores)
    costs = sorted(-macs for _, macs in scored)
    for budget in costs[:: max(1, len(costs) // 12)]:
        expected = best_of(scored, budget)
        found, alone = front.within(budget), best_predicted(space, scores, budget)
        assert (found.score, found.macs) == (alone.score, alone.macs) == expected
    assert [each.macs for each in front.stitches] == sorted({each.macs for each in front.stitches})


@pytest.mark.parametrize("seed", range(4))
def test_few_labels_cost_no_more_than_the_gap_says(uneven, seed):
    space = uneven(seed, joints=30, most=2, blocks=6)
    scores = scores_of(space, seed)
    front = scored_front(space, scores, most_labels=3)
    assert front.gap > 0
    scored = score_all(space, scores)
    for budget in (each.macs for each in scored_front(space, scores).stitches):
        best, _ = best_of(scored, budget)
        assert best - front.gap <= front.within(budget).score <= best


def test_a_budget_below_every_stitch_is_refused(uneven):
    space = uneven(5)
    scores = scores_of(space, 5)
    cheapest = min(space.cost(stitch).macs for stitch in space)
    with pytest.raises(StitchError, match=f"the cheapest has {cheapest:,}"):
        scored_front(space, scores).within(cheapest - 1)
    with pytest.raises(StitchError, match="No stitch has"):
        best_predicted(space, scores, cheapest - 1)


def test_a_listed_space_gives_members_alone(uneven):
    space = uneven(6, joints=20)
    listed = ListedSpace(space, list(space)[::3])
    scores = scores_of(space, 6)
    front = scored_front(listed, scores)
    assert front.stitches
    for each in front.stitches:
        assert each.stitch in listed
        assert (each.score, each.macs) == best_of(score_all(listed, scores), each.macs)


def test_a_space_too_large_to_list(uneven):
    """Every joint gains one point: the dearest of the front takes as many as the space allows."""
    space = uneven(8, joints=40, most=12, blocks=12)
    assert space.count > 10**10
    scores = PathScores(
        dict.fromkeys(space.outlines, 0.0),
        {name: [0.0] * outline.depth for name, outline in space.outlines.items()},
        dict.fromkeys(space.joints, 1.0),
    )
    front = scored_front(space, scores)
    assert [each.score for each in front.stitches] == [len(each.stitch.joints) for each in front.stitches]
    assert front.stitches[-1].score == 12
