"""BatchNorm statistics per path, against extracting the stitch and letting torch average them."""

from collections import Counter

import pytest
import torch
from torch import nn

from stitchable.errors import StitchError
from stitchable.evaluation.batch_norm import recalibrate
from stitchable.evaluation.sweep import sweep, tally
from stitchable.evaluation.trie import Trie
from stitchable.network import StitchedNetwork
from stitchable.space.build import SpaceOptions
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace

MANY = SpaceOptions(direction="both", joints=2, stages=(0, 2), sharing="none")


@pytest.fixture(params=["one joint", "two joints both ways", "blocks that run twice"])
def resnets(request, stitched_resnets):
    if request.param != "blocks that run twice":
        return stitched_resnets(None if request.param == "one joint" else MANY)
    anchors = list(stitched_resnets().anchors.values())
    there, back = Joint("shallow", 2, "deep", 1, "there"), Joint("deep", 2, "shallow", 1, "back")
    joints = [there, back, Joint("deep", 4, "shallow", 2, "further")]
    space = StitchingSpace([anchor.outline for anchor in anchors], joints, most_joints=3)
    return StitchedNetwork(anchors, space, seed=1).eval()


@pytest.fixture
def batches(noise):
    """Images to estimate from: three batches, the last one smaller."""
    return [noise(count, side=32, seed=100 + count) for count in (7, 6, 4)]


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


@torch.no_grad()
def by_hand(network, stitch, batches):
    """The extracted stitch with torch's own cumulative averages behind its joints."""
    sub = network.extract(stitch).eval()
    norms = norms_by_hand(sub)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in batches:
        sub(batch)
    for norm in norms:
        norm.momentum = 0.1
    return sub.eval()


def bits(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def settings(module):
    """Everything that estimating touches for a while."""
    return [
        (
            part.training,
            getattr(part, "momentum", None),
            [id(each) for each in part.buffers(recurse=False)],
        )
        for part in module.modules()
    ]


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@torch.no_grad()
def test_every_path_gets_the_statistics_of_its_extracted_stitch(resnets, batches, noise):
    stitches, images = list(resnets.space), noise(5, side=32)
    trie = Trie(resnets, stitches, calibration=batches)
    logits = dict(trie.run(images))
    assert trie.calibration_images == 17
    moved = 0
    for position, stitch in enumerate(stitches):
        if len(stitch.segments) == 1 or runs_a_block_twice(stitch):
            assert position not in trie.calibrated
            assert torch.equal(logits[position], resnets(images, stitch)), str(stitch)
            continue
        assert position in trie.calibrated
        expected = by_hand(resnets, stitch, batches)
        assert torch.equal(logits[position], expected(images)), str(stitch)
        moved += not torch.allclose(logits[position], resnets(images, stitch), rtol=1e-2, atol=1e-2)
        sub = resnets.extract(stitch)
        assert recalibrate(sub, iter(batches)) == sub.calibration_images == 17
        assert same(bits(sub), bits(expected))
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


@torch.no_grad()
def test_the_statistics_are_means_of_means_and_of_unbiased_variances(stitched_resnets, batches):
    network = stitched_resnets()
    sub = network.extract(network.space[-1])
    norm, seen = norms_by_hand(sub)[0], []
    hook = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].double()))
    recalibrate(sub, batches)
    hook.remove()
    means = [x.mean((0, 2, 3)) for x in seen]
    variances = [x.transpose(0, 1).flatten(1).var(1, unbiased=True) for x in seen]
    assert len(seen) == 3
    assert torch.allclose(norm.running_mean.double(), sum(means) / 3, atol=1e-6)
    assert torch.allclose(norm.running_var.double(), sum(variances) / 3, rtol=1e-5)
    assert int(norm.num_batches_tracked) == 3


def test_the_network_is_as_before(resnets, batches, labelled):
    for number, module in enumerate(resnets.modules()):
        module.training = number % 3 == 0
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.01 * number
    before, kept = bits(resnets), settings(resnets)
    tally(resnets, list(resnets.space), labelled(2, 4, side=32), calibration=batches)
    assert settings(resnets) == kept
    assert same(bits(resnets), before)


def failing(batches, error):
    yield batches[0]
    raise error


def in_the_middle(_module, _given):
    raise RuntimeError("out of memory")


def test_the_network_is_as_before_when_something_fails(stitched_resnets, batches, labelled, noise):
    network = stitched_resnets()
    stitches, held_out = list(network.space), labelled(1, 4, side=32)
    before, kept = bits(network), settings(network)
    for calibration, error, message in (
        (failing(batches, OSError("the disk is gone")), OSError, "the disk is gone"),
        ([batches[0], noise(1, side=32)], StitchError, "a batch of 1 images. Give 2 or more"),
        ([], StitchError, "without images"),
    ):
        with pytest.raises(error, match=message):
            tally(network, stitches, held_out, calibration=calibration)
        assert settings(network) == kept
        assert same(bits(network), before)
    last = network.anchors["deep"].model.layer4[0]
    for part, images in ((last.bn2, batches), (last.conv1, batches)):
        hook = part.register_forward_pre_hook(in_the_middle)
        with pytest.raises(RuntimeError, match="out of memory"):
            tally(network, stitches, held_out, calibration=images)
        hook.remove()
        assert settings(network) == kept
        assert same(bits(network), before)


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


def test_no_image_is_read_where_no_path_needs_one(stitched_vits, stitched_resnets, labelled):
    def forbidden():
        pytest.fail("an image was read")
        yield

    vits, resnets = stitched_vits(), stitched_resnets()
    assert sweep(vits, labelled(1, 4), calibration=forbidden()) == sweep(vits, labelled(1, 4))
    anchors = [resnets.space.stitch(name) for name in resnets.anchors]
    tally(resnets, anchors, labelled(1, 4, side=32), calibration=forbidden())
    for sub in (vits.extract(vits.space[-1]), resnets.extract("deep")):
        before = bits(sub)
        assert recalibrate(sub, forbidden()) == 0
        assert sub.calibration_images is None
        assert same(bits(sub), before)


@torch.no_grad()
def test_a_stitch_does_not_depend_on_its_company(stitched_resnets, batches, noise):
    network, images = stitched_resnets(), noise(3, side=32)
    stitches = list(network.space)
    together = dict(Trie(network, stitches, calibration=batches).run(images))
    for position in range(2, len(stitches), 3):
        alone = dict(Trie(network, [stitches[position]], calibration=batches).run(images))
        assert torch.equal(alone[0], together[position])


def test_recalibrating_touches_the_buffers_behind_the_joint_alone(stitched_resnets, batches):
    network = stitched_resnets()
    sub = network.extract("shallow[0:3]+deep[5:13]").train()
    before, kept = bits(sub), settings(sub)
    recalibrate(sub, batches)
    assert settings(sub) == kept
    changed = {key for key, value in bits(sub).items() if not torch.equal(value, before[key])}
    names = {id(module): name for name, module in sub.named_modules()}
    kinds = ("running_mean", "running_var", "num_batches_tracked")
    assert changed == {f"{names[id(norm)]}.{kind}" for norm in norms_by_hand(sub) for kind in kinds}
    assert all(name.startswith("anchors.deep.") for name in changed)


def test_recalibrating_that_fails_changes_nothing(stitched_resnets, batches):
    network = stitched_resnets()
    sub = network.extract(network.space[-1])
    before, kept = bits(sub), settings(sub)
    for given, message in (
        (failing(batches, StitchError("the disk is gone")), "the disk is gone"),
        ([batches[0], batches[0][:1]], "a batch of 1 images"),
        ([], "without images"),
    ):
        with pytest.raises(StitchError, match=message):
            recalibrate(sub, given)
        assert settings(sub) == kept
        assert same(bits(sub), before)
        assert sub.calibration_images is None


def test_layers_without_running_statistics_are_left_alone(stitched_resnets, batches):
    network = stitched_resnets()
    for norm in network.anchors["deep"].modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    assert Trie(network, list(network.space), calibration=batches).calibrated == set()
