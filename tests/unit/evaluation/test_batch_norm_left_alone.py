"""What estimating BatchNorm statistics leaves as it was: the network, and layers with nothing to adjust."""

import pytest
import torch
from torch import nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.split import Part, Split, submodule
from stitchable.errors import StitchError
from stitchable.evaluation.extract import extract_calibrated
from stitchable.evaluation.sweep import sweep, tally
from stitchable.evaluation.trie import Trie
from stitchable.input_spec import InputSpec
from stitchable.network import StitchedNetwork
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace


def test_the_network_is_as_before(resnets, batches, labelled, snapshot):
    for number, module in enumerate(resnets.modules()):
        module.training = number % 3 == 0
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.01 * number
    check = snapshot(resnets)
    tally(resnets, list(resnets.space), labelled(2, 4, side=32), calibration=batches)
    check()


def failing(batches, error):
    yield batches[0]
    raise error


def in_the_middle(_module, _given):
    raise RuntimeError("out of memory")


def test_the_network_is_as_before_when_something_fails(stitched_resnets, batches, labelled, noise, snapshot):
    network = stitched_resnets()
    stitches, held_out = list(network.space), labelled(1, 4, side=32)
    check = snapshot(network)
    for calibration, error, message in (
        (failing(batches, OSError("the disk is gone")), OSError, "the disk is gone"),
        ([batches[0], noise(1, side=32)], StitchError, "a batch of 1 images. Give 2 or more"),
        ([], StitchError, "without images"),
    ):
        with pytest.raises(error, match=message):
            tally(network, stitches, held_out, calibration=calibration)
        check()
    last = network.anchors["deep"].model.layer4[0]
    for part, images in ((last.bn2, batches), (last.conv1, batches)):
        hook = part.register_forward_pre_hook(in_the_middle)
        with pytest.raises(RuntimeError, match="out of memory"):
            tally(network, stitches, held_out, calibration=images)
        hook.remove()
        check()


def test_no_image_is_read_where_no_path_needs_one(stitched_vits, stitched_resnets, labelled):
    def forbidden():
        pytest.fail("an image was read")
        yield

    vits, resnets = stitched_vits(), stitched_resnets()
    assert sweep(vits, labelled(1, 4), calibration=forbidden()) == sweep(vits, labelled(1, 4))
    anchors = [resnets.space.stitch(name) for name in resnets.anchors]
    tally(resnets, anchors, labelled(1, 4, side=32), calibration=forbidden())
    for network, stitch in ((vits, vits.space[-1]), (resnets, "deep")):
        sub = extract_calibrated(network, stitch, forbidden())
        assert sub.calibration_images is None
        plain = network.extract(stitch).state_dict()
        assert sub.state_dict().keys() == plain.keys()
        assert all(torch.equal(value, plain[key]) for key, value in sub.state_dict().items())


class Shared(nn.Module):
    """Three blocks of which the first two share a norm, and a norm that never runs."""

    def __init__(self, width):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, width, 3), nn.BatchNorm2d(width)
        self.idle, self.own, self.head = (
            nn.BatchNorm2d(width),
            nn.BatchNorm2d(width),
            nn.Linear(width, 5),
        )


def shared(name, width):
    part = submodule("norm")
    with_idle = Part(lambda model, x: model.own(x).relu(), uses=("own", "idle"))
    head = Part(lambda model, x: model.head(x.mean((2, 3))), uses=("head",))
    split = Split(stem=submodule("conv"), blocks=(part, part, with_idle), head=head, stages=(0, 0, 0))
    return Anchor(Shared(width), split, name=name, input_spec=InputSpec((1, 8, 8), (0.5,), (0.5,)))


def test_a_layer_that_runs_twice_in_its_anchor_and_one_that_never_runs_keep_theirs(noise):
    anchors = [shared("a", 3), shared("b", 4)]
    outlines = [anchor.outline for anchor in anchors]
    joint = Joint("a", 1, "b", 1, "joint")  # behind it the shared norm runs once
    network = StitchedNetwork(anchors, StitchingSpace(outlines, [joint], most_joints=1)).eval()
    sub = extract_calibrated(network, network.space[2], [noise(6)])
    before = network.state_dict()
    changed = {key for key, value in sub.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {f"anchors.b.model.own.{kind}" for kind in ("running_mean", "running_var")}


def test_layers_without_running_statistics_are_left_alone(stitched_resnets, batches):
    network = stitched_resnets()
    for norm in network.anchors["deep"].modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    assert Trie(network, list(network.space), calibration=batches).calibrated == set()
