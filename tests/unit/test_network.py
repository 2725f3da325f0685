from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from stitchable.anchors.copies import on_meta
from stitchable.cost.macs import count_macs
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.prune import ListedSpace, prune
from stitchable.stitch import Stitch


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def two(vit):
    return [vit("small", 16), vit("large", 24)]


def some(network, number=40):
    """All stitches of a small space; of a larger one every kind: anchors, then evenly spread ones."""
    stitches = list(network.space)
    step = max(1, len(stitches) // number)
    return stitches[:2] + stitches[2::step]


# What runs


@torch.no_grad()
def test_a_vit_stitch_is_its_parts_one_after_the_other(vit_network, images):
    small, large = (vit_network.anchors[name].model for name in ("small", "large"))
    layers = {(j.front, j.leave, j.enter): vit_network.layers[j.layer] for j in vit_network.space.joints}
    x = small._pos_embed(small.patch_embed(images))
    x = small.blocks[1](small.blocks[0](x))
    x = torch.nn.functional.linear(x, *layers["small", 2, 1].projection.parameters())
    x = large.blocks[1](x)
    x = torch.nn.functional.linear(x, *layers["large", 2, 1].projection.parameters())
    x = small.norm(small.blocks[2](small.blocks[1](x)))
    expected = small.head(x[:, 0])
    assert torch.equal(vit_network(images, "small[0:2]+large[1:2]+small[1:3]"), expected)


@torch.no_grad()
def test_a_resnet_stitch_is_its_parts_one_after_the_other(resnet_network, images):
    front, end = (resnet_network.anchors[name].model for name in ("r18", "r50"))
    # Front block 2 is the first of the second stage; the end anchor goes on with its block 4.
    (joint,) = [j for j in resnet_network.space.joints if (j.leave, j.enter) == (3, 4)]
    x = front.maxpool(front.act1(front.bn1(front.conv1(images))))
    x = front.layer2[0](front.layer1(x))
    x = torch.nn.functional.conv2d(x, *resnet_network.layers[joint.layer].projection.parameters())
    x = end.layer2[3](end.layer2[2](end.layer2[1](x)))
    x = end.layer4(end.layer3(x))
    expected = end.fc(x.mean((2, 3)))
    assert torch.equal(resnet_network(images, "r18[0:3]+r50[4:16]"), expected)


@torch.no_grad()
def test_an_anchor_alone_is_the_model(network, images):
    for name, anchor in network.anchors.items():
        assert torch.equal(network(images, name), anchor.model(images))


@torch.no_grad()
def test_the_end_anchors_final_norm_runs(two, images):
    # The released DeiT stitches skip it.
    network = StitchedNetwork(two).eval()
    stitch = "small[0:1]+large[1:3]"
    before = network(images, stitch)
    norm, head = network.anchors["large"].model.norm, network.anchors["large"].model.head
    norm.weight.mul_(-1)
    assert not torch.equal(network(images, stitch), before)
    norm.weight.zero_()
    norm.bias.copy_(torch.arange(24.0))
    expected = torch.nn.functional.linear(norm.bias[None], head.weight, head.bias).expand(2, -1)
    assert torch.allclose(network(images, stitch), expected)
    small_norm = network.anchors["small"].model.norm
    small_norm.weight.fill_(float("nan"))  # of the front anchor the stitch runs no norm
    assert torch.isfinite(network(images, stitch)).all()
    held = network.extract(stitch).state_dict()
    assert torch.equal(held["anchors.large.model.norm.bias"], norm.bias)
    assert "anchors.small.model.norm.weight" not in held


@torch.no_grad()
def test_a_stitch_by_value_and_by_text(network, images):
    for stitch in some(network, 5):
        assert torch.equal(network(images, stitch), network(images, str(stitch)))


def test_hooks_of_a_block_are_called_as_often_as_it_runs(two, images):
    network = StitchedNetwork(two, SpaceOptions(direction="both", joints=3)).eval()
    calls = []
    for name in ("small", "large"):
        for index, block in enumerate(network.anchors[name].model.blocks):
            block.register_forward_hook(lambda *_, at=(name, index): calls.append(at))
    stitch = Stitch.parse("small[0:2]+large[0:2]+small[0:2]+large[1:3]")
    network(images, stitch)
    assert calls == [(s.anchor, i) for s in stitch.segments for i in range(s.start, s.stop)]
    copied = network.extract(stitch)
    calls.clear()
    copied(images)
    network(images, stitch)
    assert len(calls) == 16


@torch.no_grad()
def test_threads_do_not_disturb_each_other(network, images):
    stitches = some(network, 6)
    serial = [network(images, stitch) for stitch in stitches]
    order = [(start + step) % len(stitches) for step in range(len(stitches)) for start in range(4)]
    with ThreadPoolExecutor(4) as pool:
        logits = list(pool.map(lambda at: network(images, stitches[at]), order))
    assert all(torch.equal(serial[at], got) for at, got in zip(order, logits, strict=True))


def test_gradients_reach_what_the_stitch_runs_and_nothing_else(two, images):
    network = StitchedNetwork(two).eval()
    stitch = "small[0:2]+large[2:3]"
    network(images, stitch).square().sum().backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None}
    assert reached == network.extract(stitch).state_dict().keys()


# The network itself


def test_parameters_keep_their_names(network):
    names = {name for name, _ in network.named_parameters()}
    expected = {
        f"layers.{layer}.projection.{name}" for layer in network.space.layers for name in ("weight", "bias")
    }
    for name, anchor in network.anchors.items():
        expected |= {f"anchors.{name}.model.{own}" for own, _ in anchor.model.named_parameters()}
    assert names == expected


def test_layers_start_kaiming_from_the_seed_alone(two):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one, same, other = StitchedNetwork(two), StitchedNetwork(two), StitchedNetwork(two, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    for layer in one.layers:
        weight, bias = one.layers[layer].projection.weight, one.layers[layer].projection.bias
        assert torch.equal(weight, same.layers[layer].projection.weight)
        assert not torch.equal(weight, other.layers[layer].projection.weight)
        assert weight.shape == (24, 16)
        assert bias.shape == (24,)
        bound = 1 / 16**0.5  # uniform within ±1/√fan-in
        assert 0.8 * bound < weight.abs().max() <= bound
        assert bias.abs().max() <= bound


def test_says_what_it_takes_and_tells_apart(vit_network, cifar_network):
    assert vit_network.input_spec.size == (3, 32, 32)
    assert vit_network.class_count == cifar_network.class_count == 10
    assert vit_network.classes is None
    assert cifar_network.classes[3] == "cat"


def test_a_space_of_ones_own(two, images):
    outlines = [anchor.outline for anchor in two]
    space = ListedSpace(build_space(outlines), ["small[0:2]+large[1:3]"])
    network = StitchedNetwork(two, space)
    assert network.space is space
    assert network(images, "small[0:2]+large[1:3]").shape == (2, 10)
    with pytest.raises(StitchError, match="it was pruned or not listed"):
        network(images, "small[0:1]+large[1:3]")


def test_round_trip_in_place(network, tmp_path, images):
    network.save_pretrained(tmp_path / "network")
    back = StitchedNetwork.from_pretrained(tmp_path / "network", trust_code=True)
    assert not back.training
    assert list(back.space) == list(network.space)
    assert [back.cost(stitch) for stitch in back.space] == [network.cost(stitch) for stitch in back.space]
    state = network.state_dict()
    assert back.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in back.state_dict().items())
    with torch.no_grad():
        for stitch in some(network, 6):
            assert torch.equal(back(images, stitch), network(images, stitch))


def test_pruned_spaces_come_back_pruned(two, tmp_path):
    full = StitchedNetwork(two, SpaceOptions(direction="both"))
    pruned = StitchedNetwork(two, prune(full.space, ["deeper"]).space)
    pruned.save_pretrained(tmp_path)
    back = StitchedNetwork.from_pretrained(tmp_path)
    assert list(back.space) == list(pruned.space)
    assert back.space.count < full.space.count
    with pytest.raises(StitchError, match="it was pruned or not listed"):
        back.space.stitch("small[0:2]+large[1:3]")


def test_the_card_tells_the_costs(network, tmp_path):
    network.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"{network.space.count:,} stitches in one network" in card
    for name, anchor in network.anchors.items():
        params = sum(parameter.numel() for parameter in anchor.model.parameters())
        macs = count_macs(on_meta(anchor.model), torch.empty(1, 3, 32, 32, device="meta"))[0]
        assert f"| `{name}[0:{anchor.depth}]` | {macs:,} | {params:,} |" in card
    assert "Output: 10 logits" in card


def test_a_stitch_that_is_not_there_names_the_nearest(two, images):
    network = StitchedNetwork(two)
    for call in (lambda text: network(images, text), network.extract, network.cost):
        with pytest.raises(StitchError) as error:
            call("small[0:1]+large[2:3]")
        assert "Nearest: small[0:1]+large[1:3], small[0:2]+large[2:3]" in str(error.value)
        with pytest.raises(StitchError, match=r"there is no anchor 'smal'\. Nearest: small\."):
            call("smal[0:1]+large[1:3]")
        with pytest.raises(StitchError, match=r"'larg' is no anchor, .*Nearest: large"):
            call("larg")
