"""Norms and biases that belong to a joint: read behind it, and by nothing else."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from stitchable.anchors.load import anchor_from_timm
from stitchable.anchors.vectors import vector_names
from stitchable.errors import StitchError
from stitchable.evaluation.trie import Trie
from stitchable.input_spec import InputSpec
from stitchable.network import StitchedNetwork
from stitchable.paths import run_paths
from stitchable.space.build import SpaceOptions
from stitchable.subnetwork import Subnetwork

BOTH = SpaceOptions(direction="both", joints=2)


@pytest.fixture
def stitched_swins():
    def build(options=None):
        shape = {"img_size": 32, "patch_size": 4, "window_size": 4, "in_chans": 1, "num_classes": 5}
        spec = InputSpec((1, 32, 32), (0.5,), (0.5,))
        anchors = []
        for name, width, depth in (("slim", 4, 2), ("wide", 6, 4)):
            arguments = {**shape, "embed_dim": width, "depths": (2, depth), "num_heads": (1, 2)}
            model = "swin_tiny_patch4_window7_224"
            anchors.append(anchor_from_timm(model, name=name, arguments=arguments, input_spec=spec))
        return StitchedNetwork(anchors, options, seed=1).eval()

    return build


@pytest.fixture(params=["stitched_vits", "stitched_resnets", "stitched_swins"])
def network(request):
    """A network of each family, both ways over one joint or two."""
    return request.getfixturevalue(request.param)(BOTH)


@pytest.fixture
def images(network):
    side = network.input_spec.size[1]
    return torch.randn(3, 1, side, side, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def moved(network, kind="norms"):
    """The network, whose joints have other values than its anchors."""
    network.own_behind_joints(kind)
    for seed, parameter in enumerate(network.behind.parameters()):
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    return network


def some(network, number=8):
    stitches = list(network.space)
    return stitches[:2] + stitches[2 :: max(1, len(stitches) // number)]


def by_hand(network):
    """Runs a stitch with values written into plain anchors before each segment."""
    plain = StitchedNetwork(copy.deepcopy(list(network.anchors.values())), network.space)
    state = network.state_dict()
    own = {key: value for key, value in state.items() if key.startswith("behind.")}
    state = {key: value for key, value in state.items() if key not in own}

    def run(stitch, images):
        plain.load_state_dict(state)
        x = plain.anchors[stitch.anchors[0]].stem(images)
        for segment, joint in zip(stitch.segments, (None, *network.space.path(stitch)), strict=True):
            anchor, prefix = plain.anchors[segment.anchor], f"behind.{joint}."
            if joint:
                x = plain.layers[joint.layer](x)
                values = {key.removeprefix(prefix): own[key] for key in own if key.startswith(prefix)}
                anchor.model.load_state_dict(values, strict=False)
            x = anchor.run(x, segment.start, segment.stop)
        return anchor.head(x)

    return run


@pytest.mark.parametrize("kind", ["norms", "biases", "classifier"])
@torch.no_grad()
def test_a_stitch_runs_with_what_its_joints_own(network, images, kind):
    before = {stitch: network(images, stitch) for stitch in some(network)}
    network.own_behind_joints(kind)
    for stitch, logits in before.items():
        assert torch.equal(network(images, stitch), logits)
    expected = by_hand(moved(network, kind))
    for stitch, logits in before.items():
        found = network(images, stitch)
        assert torch.equal(found, expected(stitch, images))
        assert torch.equal(found, logits) == (len(stitch.segments) == 1)  # an anchor alone has no joint


@torch.no_grad()
def test_all_roads_lead_to_the_same_bits(network, images):
    moved(network)
    stitches = some(network)
    expected = {stitch: network(images, stitch) for stitch in stitches}
    together = run_paths(network, images, stitches)
    trie = dict(Trie(network, stitches).run(images))
    with ThreadPoolExecutor(3) as pool:
        threads = list(pool.map(lambda stitch: network(images, stitch), stitches * 2))
    for number, (stitch, logits) in enumerate(expected.items()):
        assert torch.equal(together[stitch], logits)
        assert torch.equal(trie[number], logits)
        assert torch.equal(threads[number], logits)
        assert torch.equal(threads[number + len(stitches)], logits)
        sub = network.extract(stitch)
        assert torch.equal(sub(images), logits)
        if not sub.behind:
            held = sum(parameter.numel() for parameter in sub.parameters())
            assert held == network.cost(stitch).params


@torch.no_grad()
def test_calibrated_a_stitch_is_what_is_extracted(stitched_resnets, noise):
    images, batches = noise(3, side=32), [noise(8, side=32, seed=1), noise(8, side=32, seed=2)]
    network = stitched_resnets()
    stitches = some(network)
    before = dict(Trie(network, stitches, calibration=batches).run(images))
    network.own_behind_joints("norms")
    same = dict(Trie(network, stitches, calibration=batches).run(images))
    assert all(torch.equal(same[position], logits) for position, logits in before.items())
    moved(network)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    trie = Trie(network, stitches, calibration=batches)
    assert len(trie.calibrated) == sum(len(stitch.segments) > 1 for stitch in stitches)
    for position, logits in trie.run(images):
        assert torch.equal(trie.extract(position)(images), logits)
        assert torch.equal(logits, before[position]) == (position not in trie.calibrated)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@torch.no_grad()
def test_a_block_that_runs_twice_keeps_both_sets(stitched_vits, noise, tmp_path):
    network, images = moved(stitched_vits(SpaceOptions(direction="both", joints=3))), noise(3)
    stitch = next(
        each
        for each in network.space
        if len(each.segments) == 4 and each.segments[2].start < each.segments[0].stop
    )
    sub = network.extract(stitch)
    logits = network(images, stitch)
    assert torch.equal(sub(images), logits)
    assert torch.equal(logits, by_hand(network)(stitch, images))
    read = {f"behind.{joint}" for joint in network.space.path(stitch)}
    assert {key.split(".blocks")[0].split(".norm")[0] for key in sub.state_dict() if "behind" in key} == read
    sub.save_pretrained(tmp_path)
    assert torch.equal(Subnetwork.from_pretrained(tmp_path)(images), logits)
    assert torch.equal(copy.deepcopy(sub).double()(images.double()).float().argmax(1), logits.argmax(1))


@torch.no_grad()
def test_saved_and_read_back(stitched_vits, noise, tmp_path):
    network, images = stitched_vits(BOTH), noise(3)
    network.save_pretrained(tmp_path / "old")
    assert "behind" not in json.loads((tmp_path / "old" / "config.json").read_text())
    assert StitchedNetwork.from_pretrained(tmp_path / "old").owned is None
    moved(network, "biases").save_pretrained(tmp_path / "new")
    back = StitchedNetwork.from_pretrained(tmp_path / "new")
    assert back.owned == "biases"
    assert back.state_dict().keys() == network.state_dict().keys()
    for stitch in some(network):
        assert torch.equal(back(images, stitch), network(images, stitch))
    count = sum(parameter.numel() for parameter in network.behind.parameters())
    assert (
        f"biases of this joint's own. They are {count:,} params" in (tmp_path / "new/README.md").read_text()
    )
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    (tmp_path / "new" / "config.json").write_text(json.dumps({**config, "behind": "scales"}))
    with pytest.raises(StitchError, match="no 'scales' of their own; allowed: norms, biases, classifier"):
        StitchedNetwork.from_pretrained(tmp_path / "new")


@torch.no_grad()
def test_copies_and_conversions_take_them_along(network, images):
    moved(network)
    stitch = network.space[-1]
    logits = network(images, stitch)
    copied = copy.deepcopy(network)
    for parameter in copied.behind.parameters():
        parameter.mul_(2)
    assert torch.equal(network(images, stitch), logits)
    assert not torch.equal(copied(images, stitch), logits)
    assert torch.equal(copied(images, stitch), by_hand(copied)(stitch, images))
    double = copy.deepcopy(network).double()
    torch.testing.assert_close(double(images.double(), stitch).float(), logits, rtol=1e-4, atol=1e-4)
    copied.load_state_dict(network.state_dict())
    assert torch.equal(copied.to(memory_format=torch.contiguous_format)(images, stitch), logits)


def test_gradients_reach_the_joint_s_own_and_no_other(network, images):
    network.own_behind_joints("norms")
    stitch = some(network)[-1]
    network(images, stitch).square().sum().backward()
    reached = {name for name, each in network.named_parameters() if each.grad is not None}
    own = {name for name in reached if name.startswith("behind.")}
    norms = {name: set(vector_names(anchor.model, "norms")) for name, anchor in network.anchors.items()}
    expected = set()
    for segment, joint in zip(stitch.segments[1:], network.space.path(stitch), strict=True):
        anchor, last = network.anchors[segment.anchor], segment is stitch.segments[-1]
        blocks = range(segment.start, segment.stop)
        used = {name for part in anchor.parts(blocks, stem=False, head=last) for name in part.uses}
        expected |= {
            f"behind.{joint}.{name}"
            for name in norms[segment.anchor]
            if any(name == each or name.startswith(each + ".") for each in used)
        }
    assert own == expected
    first = stitch.segments[0].anchor
    assert {name.split(".")[1] for name in reached if name.startswith("anchors.")} >= {first}


def test_one_kind_and_where_there_is_one(stitched_vits):
    network = stitched_vits()
    network.own_behind_joints("norms")
    network.own_behind_joints("norms")
    with pytest.raises(StitchError, match="have norms of their own already; tune these, not biases"):
        network.own_behind_joints("biases")
    bare = stitched_vits(norm_layer=torch.nn.Identity)
    with pytest.raises(StitchError, match=r"no norms behind any joint\. Tune biases or layers instead"):
        bare.own_behind_joints("norms")
    assert bare.owned is None
