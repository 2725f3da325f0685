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
