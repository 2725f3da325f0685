import copy
import re

import pytest
import torch

from stitchable.anchors.copies import on_meta
from stitchable.cost.macs import count_macs
from stitchable.errors import StitchError
from stitchable.subnetwork import Subnetwork


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def sub(network):
    """The last stitch of each network: the one with the most joints."""
    return network.extract(network.space[-1])


@torch.no_grad()
def test_extraction_is_bit_equal_and_holds_nothing_else(network, images):
    whole = network.state_dict()
    places = {tensor.untyped_storage().data_ptr() for tensor in whole.values()}
    for stitch in network.space:
        sub = network.extract(stitch)
        assert torch.equal(sub(images), network(images, stitch))
        # What it needs, spelled out from the text id.
        needed = [f"layers.{joint.layer}." for joint in network.space.path(stitch)]
        for segment in stitch.segments:
            anchor = network.anchors[segment.anchor]
            blocks = anchor.split.blocks[segment.start : segment.stop]
            needed += [f"anchors.{segment.anchor}.model.{use}" for part in blocks for use in part.uses]
        for segment, part in ((stitch.segments[0], "stem"), (stitch.segments[-1], "head")):
            uses = getattr(network.anchors[segment.anchor].split, part).uses
            needed += [f"anchors.{segment.anchor}.model.{use}" for use in uses]
        pattern = re.compile("|".join(re.escape(name.rstrip(".")) + r"(\.|$)" for name in needed))
        state = sub.state_dict()
        assert state.keys() == {name for name in whole if pattern.match(name)}
        assert all(torch.equal(tensor, whole[name]) for name, tensor in state.items())
        assert places.isdisjoint(tensor.untyped_storage().data_ptr() for tensor in state.values())


@torch.no_grad()
def test_cost_is_that_of_the_extracted_module(network):
    """Counted on the module itself, also where a path comes back to an anchor: params once, MACs twice."""
    for stitch in network.space:
        sub, cost = network.extract(stitch), network.cost(stitch)
        assert count_macs(on_meta(sub), torch.empty(1, 3, 32, 32, device="meta"))[0] == cost.macs
        assert sum(parameter.numel() for parameter in sub.parameters()) == cost.params


def test_a_path_that_crosses_a_joint_again(vit_network, images):
    stitch = "small[0:2]+large[1:2]+small[1:2]+large[1:3]"
    sub = vit_network.extract(stitch)
    assert len(sub.layers) == 2
    assert len(sub.stitch.joints) == 3
    with torch.no_grad():
        assert torch.equal(sub(images), vit_network(images, stitch))


def test_extraction_keeps_the_mode_and_changes_nothing(network):
    copied = copy.deepcopy(network)
    for training in (True, False):
        copied.train(training)
        sub = copied.extract(list(copied.space)[-1])
        assert {module.training for module in sub.modules()} == {training}
    before = network.state_dict()
    after = copied.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


def test_training_the_copy_leaves_the_network_alone(network, images):
    copied = copy.deepcopy(network)
    stitch = list(copied.space)[-1]
    before = {name: tensor.clone() for name, tensor in copied.state_dict().items()}
    sub = copied.train().extract(stitch)
    sub(images).sum().backward()
    torch.optim.SGD(sub.parameters(), lr=1.0).step()
    moved = [name for name, tensor in sub.state_dict().items() if not torch.equal(tensor, before[name])]
    assert moved
    assert all(torch.equal(before[name], tensor) for name, tensor in copied.state_dict().items())


def test_is_a_plain_module_of_one_argument(network, sub, images):
    with torch.no_grad():
        assert sub(images).shape == (2, 10)
        assert torch.equal(torch.nn.Sequential(sub)(images), network(images, sub.stitch))


@torch.no_grad()
def test_round_trip(sub, images, tmp_path):
    sub.save_pretrained(tmp_path / "stitch")
    back = Subnetwork.from_pretrained(tmp_path / "stitch", trust_code=True)
    assert back.stitch == sub.stitch
    assert back.steps == sub.steps
    assert not back.training
    assert back.state_dict().keys() == sub.state_dict().keys()
    assert torch.equal(back(images), sub(images))
    back.save_pretrained(tmp_path / "again")
    again = Subnetwork.from_pretrained(tmp_path / "again", trust_code=True)
    assert torch.equal(again(images), sub(images))
    for file in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "stitch" / file).read_bytes()


@torch.no_grad()
def test_an_anchor_taken_out_is_the_model(network, images, tmp_path):
    for name, anchor in network.anchors.items():
        network.extract(name).save_pretrained(tmp_path / name)
        back = Subnetwork.from_pretrained(tmp_path / name, trust_code=True)
        assert torch.equal(back(images), anchor.model(images))
        assert not back.layers


def test_the_card_tells_the_cost(sub, tmp_path):
    sub.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    macs = count_macs(on_meta(sub), torch.empty(1, 3, 32, 32, device="meta"))[0]
    params = sum(parameter.numel() for parameter in sub.parameters())
    assert f"| `{sub.stitch}` | {macs:,} | {params:,} |" in card
    assert "Subnetwork.from_pretrained(folder)" in card


def test_the_file_holds_what_the_stitch_uses_and_no_more(network, sub, tmp_path):
    sub.save_pretrained(tmp_path / "stitch")
    size = (tmp_path / "stitch" / "model.safetensors").stat().st_size
    data = sum(tensor.nbytes for tensor in sub.state_dict().values())
    whole = sum(tensor.nbytes for tensor in network.state_dict().values())
    assert data <= size < data + 100_000
    assert data < whole


def test_a_stitch_is_no_network(sub, tmp_path):
    from stitchable.network import StitchedNetwork

    sub.save_pretrained(tmp_path / "stitch")
    with pytest.raises(StitchError, match="holds a subnetwork, not a network"):
        StitchedNetwork.from_pretrained(tmp_path / "stitch")
