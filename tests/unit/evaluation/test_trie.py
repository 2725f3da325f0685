from collections import Counter

import pytest
import torch

from stitchable.evaluation.trie import Trie


def prefixes(space, stitches):
    """Every distinct beginning of a path, written down from the stitches' own segments."""
    found = set()
    for stitch in stitches:
        words = [f"stem {stitch.anchors[0]}"]
        for number, segment in enumerate(stitch.segments):
            if number:
                words.append(f"layer {space.joint(stitch.segments[number - 1], segment).layer}")
            words += [f"block {segment.anchor} {block}" for block in range(segment.start, segment.stop)]
        words.append(f"head {stitch.anchors[-1]}")
        found |= {tuple(words[:length]) for length in range(1, len(words) + 1)}
    return found


def counting(network, monkeypatch):
    ran, apply_step = Counter(), network.apply_step

    def count(step, x):
        ran[step] += 1
        return apply_step(step, x)

    monkeypatch.setattr(network, "apply_step", count)
    return ran


@torch.no_grad()
def test_logits_are_the_very_bits_of_the_network(network, side, noise):
    stitches, images = list(network.space), noise(4, side=side)
    got = dict(Trie(network, stitches).run(images))
    assert sorted(got) == list(range(len(stitches)))
    for position, stitch in enumerate(stitches):
        assert torch.equal(got[position], network(images, stitch)), str(stitch)


@torch.no_grad()
def test_every_shared_step_runs_once(network, side, noise, monkeypatch):
    stitches = list(network.space)
    expected = prefixes(network.space, stitches)
    ran = counting(network, monkeypatch)
    assert len(list(Trie(network, stitches).run(noise(2, side=side)))) == len(stitches)
    assert ran.total() == len(expected)
    by_kind = Counter(f"{path[-1]}" for path in expected)
    got = Counter()
    for step, times in ran.items():
        got[f"{step.kind} {step.name}" + (f" {step.block}" if step.kind == "block" else "")] += times
    assert got == by_kind
    one_by_one = sum(len(network.space.steps(stitch)) for stitch in stitches)
    assert ran.total() < 0.75 * one_by_one


@torch.no_grad()
def test_some_stitches_in_any_order_and_twice(network, side, noise, monkeypatch):
    stitches = list(network.space)[::-3]
    stitches += stitches[:2]
    images = noise(3, side=side)
    expected = [network(images, stitch) for stitch in stitches]
    steps = len(prefixes(network.space, stitches))
    ran = counting(network, monkeypatch)
    got = dict(Trie(network, stitches).run(images))
    assert all(torch.equal(got[position], logits) for position, logits in enumerate(expected))
    assert len(got) == len(stitches)
    assert ran.total() == steps


@torch.no_grad()
def test_it_runs_again_on_other_images(stitched_vits, noise):
    network = stitched_vits()
    trie = Trie(network, list(network.space))
    for seed in range(2):
        images = noise(2, seed=seed)
        for position, logits in trie.run(images):
            assert torch.equal(logits, network(images, network.space[position]))


def test_no_stitches_run_nothing(stitched_vits, noise):
    assert list(Trie(stitched_vits(), []).run(noise(1))) == []


@torch.no_grad()
def test_features_beyond_the_current_path_are_let_go(stitched_vits, noise):
    """At any time only the features along one path are alive: no more than the longest path has steps."""
    import weakref

    network = stitched_vits(anchors=3)
    alive, most, apply_step = [], 0, network.apply_step

    def watch(step, x):
        nonlocal most
        y = apply_step(step, x)
        alive.append(weakref.ref(y))
        most = max(most, sum(reference() is not None for reference in alive))
        return y

    network.apply_step = watch
    for _ in Trie(network, list(network.space)).run(noise(2)):
        pass
    longest = max(len(network.space.steps(stitch)) for stitch in network.space)
    assert len(alive) > 2 * longest
    assert most <= longest + 1  # and the one that the loop still holds


@torch.no_grad()
@pytest.mark.parametrize("room", [1, 12, 1000])
def test_together_gives_the_same_up_to_rounding(network, side, noise, monkeypatch, room):
    """Blocks of an end anchor run once for all the paths that come to them, as far as there is room."""
    stitches, images = list(network.space), noise(4, side=side)
    expected = dict(Trie(network, stitches).run(images))
    ran = counting(network, monkeypatch)
    got = dict(Trie(network, stitches).run(images, together=room))
    assert got.keys() == expected.keys()
    for position, logits in got.items():
        torch.testing.assert_close(logits, expected[position], rtol=1e-4, atol=1e-5)
    apart = len(prefixes(network.space, stitches))
    if room == 1:
        assert ran.total() == apart
        assert all(torch.equal(got[position], each) for position, each in expected.items())
    else:
        assert ran.total() < apart
    if room == 1000 and len(network.space.outlines) == 3:  # one way, so all meet
        runs = Counter(step._replace(joint="") for step in ran.elements() if step.kind != "layer")
        assert set(runs.values()) == {1}


@torch.no_grad()
def test_only_some_run_no_more_than_they_need(network, side, noise, monkeypatch):
    stitches, images = list(network.space), noise(2, side=side)
    trie, some = Trie(network, stitches), [1, len(stitches) - 1]
    ran = counting(network, monkeypatch)
    got = dict(trie.run(images, only=some))
    assert sorted(got) == some
    assert ran.total() == len(prefixes(network.space, [stitches[each] for each in some]))
    assert torch.equal(got[1], network(images, stitches[1]))
