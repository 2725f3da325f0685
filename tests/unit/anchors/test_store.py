import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from stitchable.anchors import store
from stitchable.anchors.anchor import Anchor
from stitchable.anchors.load import anchor_from_file
from stitchable.anchors.source import CodeSource, TimmSource
from stitchable.anchors.store import CONFIG, WEIGHTS, load_saved_anchor, save_anchor
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.prune import ListedSpace, prune
from stitchable.subnetwork import Subnetwork

# Two blocks that share a weight.
TIED = """
import torch
from torch import nn
from stitchable import Anchor, InputSpec, Part, Split, submodule

class Tied(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed = nn.Conv2d(3, width, 8, 8)
        self.one, self.two = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.two.weight = self.one.weight
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.two(self.one(self.embed(x))).mean((2, 3)))

def make(width, name):
    head = Part(lambda model, x: model.head(x.mean((2, 3))), ("head",))
    split = Split(submodule("embed"), (submodule("one"), submodule("two")), head, (0, 0))
    images = InputSpec((3, 32, 32), (0.5,) * 3, (0.25,) * 3, interpolation="bilinear", crop_pct=0.875)
    return Anchor(Tied(width), split, name=name, input_spec=images, classes=tuple("abcdefghij"))

def narrow():
    return make(4, "narrow")

def wide():
    return make(6, "wide")
"""
READER = """
import json, sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
from stitchable.anchors.store import load_saved_anchor
from stitchable.network import StitchedNetwork
from stitchable.subnetwork import Subnetwork

images = load_file("images.safetensors")["images"]
logits, said = {}, {}
with torch.no_grad():
    for folder in sorted(path for path in Path().iterdir() if path.is_dir()):
        kind = json.loads((folder / "config.json").read_text())["kind"]
        if kind == "anchor":
            logits[folder.name] = load_saved_anchor(folder, trust_code=True)(images)
        elif kind == "subnetwork":
            logits[folder.name] = Subnetwork.from_pretrained(folder, trust_code=True)(images)
        else:
            network = StitchedNetwork.from_pretrained(folder, trust_code=True)
            said[folder.name] = [str(stitch) for stitch in network.space]
            rows = [network(images, stitch) for stitch in network.space]
            logits[folder.name] = torch.stack(rows)
save_file(logits, "logits.safetensors")
Path("said.json").write_text(json.dumps(said))
"""


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def things(tmp_path_factory, vit, resnet, cifar_network):
    """Everything that can be saved, by a name: networks, pruned ones, single stitches and anchors."""
    file = tmp_path_factory.mktemp("own") / "tied.py"
    file.write_text(TIED, encoding="utf-8")
    tied = StitchedNetwork([anchor_from_file(file, name) for name in ("narrow", "wide")]).eval()
    vits = [vit("small", 16), vit("large", 24)]
    back = StitchedNetwork(vits, SpaceOptions(kernel=1, direction="both", joints=3)).eval()
    space = build_space([anchor.outline for anchor in vits], SpaceOptions(direction="both", joints=2))
    pruned = StitchedNetwork(vits, prune(space, ["deeper", "equal"]).space).eval()
    listed = StitchedNetwork(vits, ListedSpace(back.space, ["small[0:2]+large[1:3]"])).eval()
    resnets = StitchedNetwork([resnet("r18"), resnet("r50", "resnet50")], SpaceOptions(stages=(1, 2))).eval()
    with torch.no_grad():  # statistics and counters that no fresh model has
        resnets.train()
        for name in ("r18", "r50"):
            resnets(torch.randn(4, 3, 32, 32), name)
        resnets.eval()
    file.unlink()
    return {
        "tied": tied,
        "pruned": pruned,
        "listed": listed,
        "resnets": resnets,
        "stitch_of_vits": back.extract("small[0:1]+large[0:2]+small[1:3]"),
        "stitch_that_repeats": back.extract("small[0:2]+large[1:2]+small[1:2]+large[1:3]"),
        "stitch_of_resnets": resnets.extract(list(resnets.space)[-1]),
        "stitch_of_code": cifar_network.extract(cifar_network.space[9]),
        "stitch_of_tied": tied.extract(tied.space[2]),
        "vit": vits[0],
        "resnet": resnets.anchors["r18"],
        "code": cifar_network.anchors["resnet20"],
        "tied_anchor": tied.anchors["wide"],
    }


@pytest.fixture(scope="module")
def read_elsewhere(tmp_path_factory, things, images):
    """What a fresh process makes of the folders, which were moved to a place of their own."""
    written, place = tmp_path_factory.mktemp("written"), tmp_path_factory.mktemp("place")
    for name, thing in things.items():
        if isinstance(thing, Anchor):
            save_anchor(thing, written / name)
        else:
            thing.save_pretrained(written / name)
        shutil.move(written / name, place / name)
    save_file({"images": images}, place / "images.safetensors")
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run([sys.executable, "-c", READER], cwd=place, env=environment, check=True)
    return place, load_file(place / "logits.safetensors"), json.loads((place / "said.json").read_text())


NAMES = [
    "tied", "pruned", "listed", "resnets", "stitch_of_vits", "stitch_that_repeats", "stitch_of_resnets",
    "stitch_of_code", "stitch_of_tied", "vit", "resnet", "code", "tied_anchor",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_process_needs_nothing_but_the_folder(things, images, read_elsewhere, name):
    _, logits, said = read_elsewhere
    thing = things[name]
    with torch.no_grad():
        if isinstance(thing, StitchedNetwork):
            assert said[name] == [str(stitch) for stitch in thing.space]
            expected = torch.stack([thing(images, stitch) for stitch in thing.space])
        else:
            expected = thing(images)
    assert torch.equal(logits[name], expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_holds_plain_files_only(read_elsewhere, name):
    folder = read_elsewhere[0] / name
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    own = {file for file in files if file.startswith("architectures")}
    card = set() if name in ("vit", "resnet", "code", "tied_anchor") else {"README.md"}
    assert files - own == {CONFIG, WEIGHTS} | card
    assert bool(own) == ("tied" in name or "code" in name)
    assert len(own) <= 1


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("tied", StitchedNetwork.from_pretrained),
        ("stitch_of_code", Subnetwork.from_pretrained),
        ("code", load_saved_anchor),
    ],
)
def test_code_is_not_run_without_trust(read_elsewhere, monkeypatch, name, read):
    monkeypatch.setattr(CodeSource, "build", lambda _: pytest.fail("the folder's code was run"))
    with pytest.raises(StitchError) as error:
        read(read_elsewhere[0] / name)
    assert str(read_elsewhere[0] / name) in str(error.value)
    assert "brings its own architecture file architectures/" in str(error.value)
    assert "trust_code=True" in str(error.value)


def test_an_architecture_file_that_was_left_behind(read_elsewhere, tmp_path):
    shutil.copytree(read_elsewhere[0] / "code", tmp_path / "code")
    shutil.rmtree(tmp_path / "code" / "architectures")
    with pytest.raises(StitchError, match="lacks its architecture file architectures/") as error:
        load_saved_anchor(tmp_path / "code", trust_code=True)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_an_anchor_knows_comes_back(things, read_elsewhere):
    place, anchor = read_elsewhere[0], things["tied_anchor"]
    back = load_saved_anchor(place / "tied_anchor", trust_code=True)
    assert (back.name, back.classes, back.input_spec) == (anchor.name, anchor.classes, anchor.input_spec)
    assert back.outline == anchor.outline
    assert back.source == CodeSource(TIED, "tied.py", "wide")
    assert not back.training
    assert load_saved_anchor(place / "vit", name="other").outline.name == "other"


def test_other_weights_for_a_saved_architecture(things, read_elsewhere, tmp_path):
    state = {name: tensor + 1 for name, tensor in things["vit"].model.state_dict().items()}
    save_file(state, tmp_path / "other.safetensors")
    back = load_saved_anchor(read_elsewhere[0] / "vit", weights=tmp_path / "other.safetensors")
    assert all(torch.equal(tensor, state[name]) for name, tensor in back.model.state_dict().items())


def test_reading_draws_from_no_global_state(read_elsewhere):
    torch.manual_seed(2)
    before = torch.get_rng_state()
    load_saved_anchor(read_elsewhere[0] / "vit")
    load_saved_anchor(read_elsewhere[0] / "code", trust_code=True)
    Subnetwork.from_pretrained(read_elsewhere[0] / "stitch_of_vits")
    StitchedNetwork.from_pretrained(read_elsewhere[0] / "listed")
    assert torch.equal(torch.get_rng_state(), before)


# Saving that fails


def test_an_anchor_without_a_source_writes_nothing(vit, tmp_path):
    anchor = vit("tiny", 16)
    anchor.source = None
    with pytest.raises(StitchError, match="Anchor tiny does not say how its architecture is built again"):
        save_anchor(anchor, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_arguments_that_are_no_plain_data_write_nothing(vit, tmp_path):
    anchor = vit("tiny", 16)
    anchor.source = TimmSource("vit_tiny_patch16_224", {"norm_layer": nn.LayerNorm})
    with pytest.raises(StitchError, match="arguments must be plain data"):
        save_anchor(anchor, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def fail_in_the_middle(module, path, **_):
    store.Path(path).write_bytes(b"half a file")
    raise OSError("No space left on device")


@pytest.mark.parametrize("failure", ["weights", "config", "source"])
def test_a_failed_save_leaves_the_earlier_folder_as_it_was(vit, tmp_path, monkeypatch, failure):
    anchors = [vit("small", 16), vit("large", 24)]
    StitchedNetwork(anchors).eval().save_pretrained(tmp_path / "network")
    before = {file: (tmp_path / "network" / file).read_bytes() for file in (CONFIG, WEIGHTS)}
    # Another architecture under the same names, so that old and new files would not go together.
    other = StitchedNetwork([vit("small", 16, depth=2), vit("large", 32, depth=2)])
    message = "cannot be written: No space left on device"
    if failure == "weights":
        monkeypatch.setattr(store, "save_model", fail_in_the_middle)
    elif failure == "config":
        write = store.Path.write_text

        def fail(path, text, **options):
            if CONFIG in path.name:
                raise OSError("No space left on device")
            return write(path, text, **options)

        monkeypatch.setattr(store.Path, "write_text", fail)
    else:
        other.anchors["large"].source = TimmSource("vit_tiny_patch16_224", {"norm_layer": nn.LayerNorm})
        message = "plain data"
    with pytest.raises(StitchError, match=message):
        other.save_pretrained(tmp_path / "network")
    monkeypatch.undo()
    for file, content in before.items():
        assert (tmp_path / "network" / file).read_bytes() == content
    assert not list((tmp_path / "network").glob("*.partial"))
    assert StitchedNetwork.from_pretrained(tmp_path / "network").anchors["large"].depth == 3


def test_saving_again_replaces_everything(vit, tmp_path, images):
    StitchedNetwork([vit("a", 16), vit("b", 24)]).save_pretrained(tmp_path / "network")
    other = StitchedNetwork([vit("a", 16, depth=2), vit("b", 32, depth=2)], seed=3).eval()
    other.save_pretrained(tmp_path / "network")
    back = StitchedNetwork.from_pretrained(tmp_path / "network")
    with torch.no_grad():
        assert torch.equal(back(images, "a[0:1]+b[1:2]"), other(images, "a[0:1]+b[1:2]"))
