"""Saved folders that are damaged or hold something else: refused in a line that names the place."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from stitchable.anchors.store import CONFIG, FORMAT, WEIGHTS, load_saved_anchor
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.subnetwork import Subnetwork


@pytest.fixture
def folder(vit, tmp_path):
    StitchedNetwork([vit("a", 16), vit("b", 24)]).save_pretrained(tmp_path / "network")
    return tmp_path / "network"


def refused(read, folder, *, naming):
    with pytest.raises(StitchError) as error:
        read(folder)
    assert str(naming) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def config_with(folder, **changes):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


def test_no_folder(tmp_path):
    for read in (StitchedNetwork.from_pretrained, Subnetwork.from_pretrained, load_saved_anchor):
        assert "it has no config.json" in refused(read, tmp_path / "none", naming=tmp_path / "none")


def test_another_kind(folder):
    text = refused(Subnetwork.from_pretrained, folder, naming=folder)
    assert "holds a network, not a subnetwork" in text
    assert "holds a network, not a anchor" in refused(load_saved_anchor, folder, naming=folder)


def test_a_newer_format(folder):
    config_with(folder, format=FORMAT + 1)
    text = refused(StitchedNetwork.from_pretrained, folder, naming=folder / CONFIG)
    assert f"has format {FORMAT + 1}; this stitchable reads up to {FORMAT}" in text


@pytest.mark.parametrize("content", [b"", b'{"format": 1, "kind": "netw', b"[]", b"{}", b"\xff", b"7"])
def test_a_broken_config(folder, content):
    (folder / CONFIG).write_bytes(content)
    assert "does not read" in refused(StitchedNetwork.from_pretrained, folder, naming=folder / CONFIG)


def test_a_config_that_lacks_anything(folder):
    """Every entry in turn is taken away, and then put in another type: no entry is read unchecked."""
    whole = json.loads((folder / CONFIG).read_text())
    places = [
        *(("anchors", 1, *rest) for rest in (("name",), ("source",), ("source", "kind"), ("input",))),
        *(("anchors", 1, "source", key) for key in ("model", "arguments")),
        *(("anchors", 1, "input", key) for key in whole["anchors"][1]["input"]),
        *(("space",), ("space", "joints"), ("space", "most_joints"), ("anchors",)),
        *(("outlines",), ("outlines", "a"), ("outlines", "a", "stages")),
    ]
    allowed = (("anchors", 1, "input", "crop_pct"), 7.5), (("outlines", "a"), "missing")
    for place in places:
        named = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)[1:]
        for broken in ("missing", 7.5, ["x"], True):
            config = copy.deepcopy(whole)
            inner = config
            for key in place[:-1]:
                inner = inner[key]
            if broken == "missing":
                del inner[place[-1]]
            else:
                inner[place[-1]] = broken
            if (place, broken) in allowed:
                continue
            (folder / CONFIG).write_text(json.dumps(config))
            text = refused(StitchedNetwork.from_pretrained, folder, naming=folder / CONFIG)
            assert "does not describe a saved network" in text
            assert named in text


def test_joints_of_the_wrong_length_and_sources_from_later_on(folder):
    config = json.loads((folder / CONFIG).read_text())
    space = {**config["space"], "joints": [["a", 1, "b", 1]]}
    config_with(folder, space=space)
    text = refused(StitchedNetwork.from_pretrained, folder, naming=folder / CONFIG)
    assert "space.joints[0] has 4 entries, not 5" in text
    anchors = [{**anchor, "source": {"kind": "telepathy"}} for anchor in config["anchors"]]
    config_with(folder, space=config["space"], anchors=anchors)
    assert "unknown kind 'telepathy'" in refused(StitchedNetwork.from_pretrained, folder, naming=folder)


def test_missing_weights(folder):
    (folder / WEIGHTS).unlink()
    assert "No weight file" in refused(StitchedNetwork.from_pretrained, folder, naming=folder / WEIGHTS)


def test_truncated_weights(folder):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    text = refused(StitchedNetwork.from_pretrained, folder, naming=folder / WEIGHTS)
    assert "not a whole safetensors file" in text


def test_a_pickle_in_place_of_weights(folder):
    torch.save({"weight": torch.zeros(2)}, folder / WEIGHTS)
    text = refused(StitchedNetwork.from_pretrained, folder, naming=folder / WEIGHTS)
    assert "not a whole safetensors file" in text


def test_weights_of_another_shape(folder):
    state = load_file(folder / WEIGHTS)
    state["anchors.a.model.norm.weight"] = torch.zeros(17)
    save_file(state, folder / WEIGHTS)
    text = refused(StitchedNetwork.from_pretrained, folder, naming=folder / WEIGHTS)
    assert "anchors.a.model.norm.weight has shape (17,), the model's is (16,)" in text


def test_weights_of_other_names(folder):
    state = load_file(folder / WEIGHTS)
    state["anchors.c.model.norm.weight"] = state.pop("anchors.a.model.norm.weight")
    save_file(state, folder / WEIGHTS)
    text = refused(StitchedNetwork.from_pretrained, folder, naming=folder / WEIGHTS)
    assert "1 tensors are missing (anchors.a.model.norm.weight, …) and 1 are unknown" in text
