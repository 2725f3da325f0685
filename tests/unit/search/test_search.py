import pytest

from stitchable.errors import StitchError
from stitchable.search.search import search
from stitchable.search.strategies import STRATEGIES, strategy_named
from stitchable.space.build import SpaceOptions, build_space


@pytest.fixture(scope="module")
def two_way(outline):
    outlines = [outline("a", 6, 8, macs=1000), outline("b", 6, 8, macs=3001)]
    return build_space(outlines, SpaceOptions(direction="both", joints=3))


@pytest.fixture(scope="module")
def law(two_way):
    """A number per stitch: joints cost the more the further they are from a depth, b is better than a."""
    prices = {joint: 1 + 2 * (2 * joint.leave + joint.enter) % 5 for joint in two_way.joints}
    return {
        stitch: sum(len(each) * (1 if each.anchor == "a" else 2) for each in stitch.segments)
        - sum(prices[joint] for joint in two_way.path(stitch))
        for stitch in two_way
    }


def found_by(name, space, law, macs, *, seed=0, evaluations=50, measured=None):
    def measure(stitches):
        return [law[stitch] for stitch in stitches]

    strategy = strategy_named(name, space, macs, seed=seed)
    return search(strategy, measure, evaluations=evaluations, generation=10, measured=measured)


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_measures_so_many_within_the_budget_each_once(two_way, law, name):
    macs = 16_000
    asked = []

    def measure(stitches):
        asked.extend(stitches)
        return [law[stitch] for stitch in stitches]

    found = search(strategy_named(name, two_way, macs), measure, evaluations=45, generation=10)
    assert list(found) == asked
    assert len(set(asked)) == len(asked) == 45
    assert all(two_way.cost(stitch).macs <= macs for stitch in found)
    assert all(law[stitch] == value for stitch, value in found.items())


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_that_goes_on_is_the_one_that_was_never_cut_off(two_way, law, name):
    whole = found_by(name, two_way, law, 16_000, seed=3)
    begun = found_by(name, two_way, law, 16_000, seed=3, evaluations=40)
    assert list(begun) == list(whole)[:40]
    assert list(found_by(name, two_way, law, 16_000, seed=3, measured=begun)) == list(whole)
    assert list(found_by(name, two_way, law, 16_000, seed=4)) != list(whole)


def test_learning_from_what_was_measured_beats_chance(two_way, law):
    macs = 20_000
    best = max(value for stitch, value in law.items() if two_way.cost(stitch).macs <= macs)
    regret = {
        name: sum(best - max(found_by(name, two_way, law, macs, seed=seed).values()) for seed in range(4))
        for name in STRATEGIES
    }
    assert regret["guided"] < regret["random"]
    assert regret["evolution"] < regret["random"]


def test_a_space_with_less_than_that_is_measured_whole(outline):
    space = build_space([outline("a", 3, macs=10), outline("b", 3, macs=90)])
    law = {stitch: float(number) for number, stitch in enumerate(space)}
    assert set(found_by("evolution", space, law, 10**9, evaluations=500)) == set(space)


def test_what_cannot_be_searched_is_refused(two_way, law):
    with pytest.raises(StitchError, match="No stitch has"):
        strategy_named("random", two_way, 5)
    with pytest.raises(StitchError, match="Unknown strategy 'guidet'"):
        strategy_named("guidet", two_way, 10**9)
    with pytest.raises(StitchError, match="must be at least 1"):
        found_by("random", two_way, law, 16_000, evaluations=0)
