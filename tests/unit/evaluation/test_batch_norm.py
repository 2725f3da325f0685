"""BatchNorm statistics per path, against solving for them layer by layer in the extracted stitch."""

from collections import Counter

import pytest
import torch
from torch import nn

from stitchable.anchors.load import anchor_from_timm
from stitchable.evaluation.extract import extract_calibrated
from stitchable.evaluation.sweep import sweep
from stitchable.evaluation.trie import Trie
from stitchable.input_spec import InputSpec
from stitchable.network import StitchedNetwork
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace

# Blocks of the two anchors by timm's own names, written down from their layers (2, 2, 2, 1) and (4, 4, 4, 1).
BLOCKS = {
    name: [f"layer{stage}.{block}" for stage, count in enumerate(layers, start=1) for block in range(count)]
    for name, layers in (("shallow", (2, 2, 2, 1)), ("deep", (4, 4, 4, 1)))
}


def runs_a_block_twice(stitch):
    """Whether a block behind a joint runs a second time anywhere on the path."""
    ran = Counter((part.anchor, block) for part in stitch.segments for block in range(part.start, part.stop))
    behind = {(part.anchor, block) for part in stitch.segments[1:] for block in range(part.start, part.stop)}
    return any(ran[block] > 1 for block in behind)


def norms_by_hand(sub):
    """The BatchNorm layers of all segments but the first."""
    found = []
    for part in sub.stitch.segments[1:]:
        for name in BLOCKS[part.anchor][part.start : part.stop]:
            block = sub.anchors[part.anchor].model.get_submodule(name)
            found += [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    return found


def input_of(norm, module, images):
    """What comes to a layer that runs once in a module, in float64."""
    seen = []
    hook = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].double()))
    module(images)
    hook.remove()
    (x,) = seen
    return x


def mean_and_variance(x):
    return torch.stack([x.mean((0, 2, 3)), x.transpose(0, 1).flatten(1).var(1, unbiased=False)])


def solved(own, alone, path):
    """√(v′ + ε) = √(v + ε) · √(v_path / v_alone), m′ = m_path − (m_alone − m) · √(v′ + ε) / √(v + ε)."""
    spread = (own.running_var.double() + own.eps).sqrt()
    new = spread * (path[1] / alone[1]).sqrt()
    return path[0] - (alone[0] - own.running_mean.double()) * new / spread, new**2 - own.eps


@torch.no_grad()
def by_hand(network, stitch, batches):
    """The extracted stitch, its layers solved one after the other, by running stitch and anchor whole."""
    sub = network.extract(stitch).eval()
    names = {module: name for name, module in sub.named_modules()}
    pairs = [(norm, network.get_submodule(names[norm])) for norm in norms_by_hand(sub)]
    alone, path = ({norm: [] for norm, _ in pairs} for _ in range(2))
    for batch in batches:
        for norm, own in pairs:
            norm.load_state_dict(own.state_dict())
        for norm, own in pairs:
            anchor = network.anchors[names[norm].split(".")[1]]
            path[norm].append(mean_and_variance(input_of(norm, sub, batch)))
            alone[norm].append(mean_and_variance(input_of(own, anchor, batch)))
            norm.running_mean, norm.running_var = (
                each.float() for each in solved(own, alone[norm][-1], path[norm][-1])
            )
    for norm, own in pairs:
        means = (torch.stack(each[norm]).mean(0) for each in (alone, path))
        norm.running_mean, norm.running_var = (each.float() for each in solved(own, *means))
    return sub


def bits(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@torch.no_grad()
def test_every_path_gets_the_statistics_of_its_extracted_stitch(resnets, batches, noise):
    stitches, images = list(resnets.space), noise(5, side=32)
    trie = Trie(resnets, stitches, calibration=iter(batches))
    logits = dict(trie.run(images))
    assert trie.calibration_images == 17
    moved = 0
    for position, stitch in enumerate(stitches):
        sub = trie.extract(position)
        assert torch.equal(logits[position], sub(images)), str(stitch)
        if len(stitch.segments) == 1 or runs_a_block_twice(stitch):
            assert position not in trie.calibrated
            assert sub.calibration_images is None
            assert torch.equal(logits[position], resnets(images, stitch)), str(stitch)
            continue
        assert position in trie.calibrated
        assert sub.calibration_images == 17
        moved += not torch.allclose(logits[position], resnets(images, stitch), rtol=1e-2, atol=1e-2)
        if position % 5 == 0:
            alone = extract_calibrated(resnets, stitch, iter(batches))
            assert alone.calibration_images == 17
            assert same(bits(alone), bits(sub))
            expected = bits(by_hand(resnets, stitch, batches))
            for key, value in bits(sub).items():
                assert torch.allclose(value, expected[key], rtol=1e-3, atol=1e-4), (str(stitch), key)
    assert moved > 0.9 * len(trie.calibrated)


def test_paths_of_every_kind_are_among_them(resnets, request):
    stitches = [stitch for stitch in resnets.space if len(stitch.segments) > 1]
    twice = [stitch for stitch in stitches if runs_a_block_twice(stitch)]
    assert {len(stitch.segments) for stitch in stitches} == {
        "one joint": {2},
        "two joints both ways": {2, 3},
        "blocks that run twice": {2, 3, 4},
    }[request.node.callspec.params["resnets"]]
    assert bool(twice) == ("blocks that run twice" in request.node.name)
    assert len(twice) < len(stitches)


def as_normalised(norm, module, images):
    """Mean and variance of what a layer makes of its input, without its weight, bias and activation."""
    x = input_of(norm, module, images)
    shape = (1, -1, 1, 1)
    mean, variance = norm.running_mean.double().view(shape), norm.running_var.double().view(shape)
    return mean_and_variance((x - mean) / (variance + norm.eps).sqrt())


@pytest.mark.parametrize("family", ["resnet", "efficientnet"])
@torch.no_grad()
def test_each_layer_makes_of_its_input_what_it_makes_where_the_anchor_runs_alone(family, request, noise):
    """On the very batch, whatever statistics the anchor holds."""
    if family == "resnet":
        network, batch = request.getfixturevalue("stitched_resnets")(), noise(16, side=32)
    else:
        network, batch = efficientnets(), noise(16, side=64).expand(-1, 3, -1, -1)
    sub = extract_calibrated(network, network.space[len(network.anchors)], [batch])
    end = sub.stitch.segments[-1]
    anchor, held = network.anchors[end.anchor], sub.anchors[end.anchor]
    names = {module: name for name, module in held.named_modules()}
    norms = [module for module in names if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) > 5
    for norm in norms:
        own = anchor.get_submodule(names[norm])
        got = as_normalised(norm, sub, batch)
        expected = as_normalised(own, anchor, batch)
        assert torch.allclose(got, expected, rtol=1e-3, atol=1e-3), names[norm]
        assert not torch.allclose(norm.running_mean, own.running_mean, rtol=1e-2, atol=1e-2)


def efficientnets():
    """Two small EfficientNets, whose layers are timm's own, with an activation in them."""
    images = InputSpec((3, 64, 64), (0.5,) * 3, (0.5,) * 3)
    anchors = []
    for seed, name in enumerate(("one", "other")):
        torch.manual_seed(seed)
        built = anchor_from_timm("test_efficientnet", name=name, input_spec=images)
        for module in built.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.2, 2)
        anchors.append(built)
    joint = Joint("one", 2, "other", 2, "joint")
    space = StitchingSpace([anchor.outline for anchor in anchors], [joint], most_joints=1)
    return StitchedNetwork(anchors, space, seed=1).eval()


def twins(tiny_resnet, *, frozen=False, error=0.0):
    """An anchor twice, and joints that are the identity, or nearly."""
    anchors = [tiny_resnet(name, (2, 2, 2, 1), 6, seed=6) for name in ("twin", "shallow")]
    if frozen:  # statistics of other images than ours, with which the weights were trained nevertheless
        for anchor in anchors:
            for number, norm in enumerate(m for m in anchor.modules() if isinstance(m, nn.BatchNorm2d)):
                norm.running_mean += 1 if number % 2 else -2
                norm.running_var *= 5
    joints = [Joint("twin", cut, "shallow", cut, f"at {cut}") for cut in range(1, 7)]
    space = StitchingSpace([anchor.outline for anchor in anchors], joints, most_joints=1)
    network = StitchedNetwork(anchors, space).eval()
    for layer in network.layers.values():
        width = layer.end.width
        noise = torch.randn((width, width), generator=torch.Generator().manual_seed(width))
        layer.set_affine(torch.eye(width) + error * noise, torch.zeros(width))
    return network


@pytest.mark.parametrize("frozen", [False, True])
def test_behind_a_perfect_joint_the_anchor_keeps_its_statistics(tiny_resnet, batches, frozen):
    network = twins(tiny_resnet, frozen=frozen)
    trie = Trie(network, list(network.space), calibration=batches)
    assert len(trie.calibrated) == 6
    for position in trie.calibrated:
        assert same(bits(trie.extract(position)), bits(network.extract(network.space[position])))


@torch.no_grad()
def replaced(network, stitch, batches):
    """The extracted stitch with torch's own cumulative averages behind its joint."""
    sub = network.extract(stitch).eval()
    for norm in norms_by_hand(sub):
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in batches:
        sub(batch)
    return sub.eval()


@torch.no_grad()
def test_an_anchor_with_statistics_of_other_images_stays_what_was_trained(tiny_resnet, noise):
    """Behind a joint that is nearly perfect the stitch computes nearly what the anchor does."""
    network = twins(tiny_resnet, frozen=True, error=1e-3)
    batches, images = [noise(64, side=32, seed=1)], noise(16, side=32, seed=2)
    expected = network(images, "shallow")
    for stitch in list(network.space)[2:]:
        adjusted = extract_calibrated(network, stitch, batches)(images)
        assert torch.allclose(adjusted, expected, rtol=0, atol=0.05 * float(expected.std())), str(stitch)
        anew = replaced(network, stitch, batches)(images)
        assert (anew - expected).std() > 0.5 * expected.std(), str(stitch)


def test_rows_say_what_was_estimated_and_the_anchors_stay(resnets, batches, labelled):
    held_out = labelled(2, 9, side=32)
    plain, calibrated = sweep(resnets, held_out), sweep(resnets, held_out, calibration=batches)
    for before, after in zip(plain, calibrated, strict=True):
        assert before.calibration_images is None
        assert "calibration_images" not in before.to_dict()
        stitch = resnets.space[after.index]
        if after.anchor or runs_a_block_twice(stitch):
            assert after.calibration_images is None
            assert (after.loss, after.top1) == (before.loss, before.top1)
        else:
            assert after.to_dict()["calibration_images"] == 17
            assert after.loss != before.loss
            assert (after.macs, after.params) == (before.macs, before.params)


@torch.no_grad()
def test_a_stitch_does_not_depend_on_its_company(stitched_resnets, batches, noise):
    network, images = stitched_resnets(), noise(3, side=32)
    stitches = list(network.space)
    together = dict(Trie(network, stitches, calibration=batches).run(images))
    for position in range(2, len(stitches), 3):
        alone = dict(Trie(network, [stitches[position]], calibration=batches).run(images))
        assert torch.equal(alone[0], together[position])


def test_the_buffers_behind_the_joint_alone_differ(stitched_resnets, batches, snapshot):
    network = stitched_resnets().train()
    network.anchors["deep"].eval()
    before, check = bits(network), snapshot(network)
    sub = extract_calibrated(network, "shallow[0:3]+deep[5:13]", batches)
    check()
    assert all(part.training for part in sub.modules())
    changed = {key for key, value in bits(sub).items() if not torch.equal(value, before[key])}
    names = {id(module): name for name, module in sub.named_modules()}
    kinds = ("running_mean", "running_var")
    assert changed == {f"{names[id(norm)]}.{kind}" for norm in norms_by_hand(sub) for kind in kinds}
    assert all(name.startswith("anchors.deep.") for name in changed)
