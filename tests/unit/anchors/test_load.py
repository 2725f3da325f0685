import pytest
import torch
from safetensors.torch import save_file

from stitchable.anchors.load import anchor_from_file, anchor_from_timm, load_anchor, read_anchor_text
from stitchable.anchors.store import save_anchor
from stitchable.errors import StitchError

TINY = {"img_size": 32, "depth": 1, "embed_dim": 8, "num_heads": 2, "num_classes": 3}


def message(*args, **options):
    with pytest.raises(StitchError) as error:
        load_anchor(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet18", (None, "resnet18", {}, None)),
        ("r=resnet18", ("r", "resnet18", {}, None)),
        (" r = resnet18@random ", ("r", "resnet18", {}, "random")),
        ("resnet18@w/r.safetensors", (None, "resnet18", {}, "w/r.safetensors")),
        ("a/b.py:make@w.safetensors", (None, "a/b.py:make", {}, "w.safetensors")),
        ("resnet18@", (None, "resnet18", {}, None)),
        ("resnet18.a1_in1k", (None, "resnet18.a1_in1k", {}, None)),
        (
            "r=resnet18?drop_path_rate=0.1&layers=[1, 2]@random",
            ("r", "resnet18", {"drop_path_rate": 0.1, "layers": [1, 2]}, "random"),
        ),
    ],
)
def test_short_form(text, expected):
    assert read_anchor_text(text) == expected


def test_arguments_change_the_architecture_and_are_remembered():
    anchor = load_anchor("ti=vit_tiny_patch16_224?depth=2&img_size=32&embed_dim=12&num_heads=2@random")
    assert (anchor.name, anchor.depth) == ("ti", 2)
    assert anchor.features[0].shape(1) == (1, 1 + 2 * 2, 12)
    assert anchor.source.to_dict()["arguments"]["depth"] == 2


@pytest.mark.parametrize("text", ["", "r=", "@random", "r=@random", "  "])
def test_short_form_names_a_model(text):
    with pytest.raises(StitchError, match="names no model"):
        read_anchor_text(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("deit_tinny_patch16_224", "Nearest: deit_tiny_patch16_224"),
        ("torchvision:resnet81", "Nearest: resnet18"),
        ("torchvision:resnet18@no.safetensors", "No weight file no.safetensors"),
        ("torchvision:a/b", "No folder torchvision:a/b"),
        ("no/such/folder", "No folder no/such/folder"),
        ("./resnet18", "No folder ./resnet18"),
        ("own.py", "'own.py' names no function. Write own.py:function."),
        ("own.py:make", "No file own.py"),
        ("own.py:make@pretrained", "'pretrained' is for models of a library"),
        ("resnet18@no.safetensors", "No weight file no.safetensors"),
        ("resnet18?layers", "'layers' is no argument. Write ?key=value&key=value."),
        ("resnet18?layers=[1,", "the value of layers does not read as YAML"),
        ("resnet18?leyers=1", "timm cannot build resnet18 {'leyers': 1}"),
        ("own.py:make?depth=1", "only models of timm and torchvision take arguments"),
        ("a b=resnet18", "Anchor name 'a b' cannot stand in a stitch id"),
        ("train=resnet18", "Anchor name 'train' is taken by PyTorch's modules"),
    ],
)
def test_bad_texts(text, part):
    assert part in message(text)


def test_weights_can_be_asked_for(cifar_resnets):
    text = message("resnet18", need_weights=True)
    assert "has no weights. Write resnet18@weights.safetensors, resnet18@random" in text
    assert load_anchor("resnet18@random", need_weights=True).name == "resnet18"
    assert load_anchor(f"{cifar_resnets}:resnet20", need_weights=True).name == "resnet20"


def test_names_come_from_the_text_or_the_model(cifar_resnets):
    assert load_anchor("r=resnet18").name == "r"
    assert load_anchor("resnet18.a1_in1k").name == "resnet18"
    renamed = load_anchor(f"r={cifar_resnets}:resnet20")
    assert renamed.name == renamed.outline.name == "r"
    assert renamed.classes[0] == "airplane"
    assert renamed.source == load_anchor(f"{cifar_resnets}:resnet20").source


def test_random_weights_are_the_same_every_time_and_draw_from_no_global_state(cifar_resnets):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    makers = [
        lambda: anchor_from_timm("vit_tiny_patch16_224", arguments=TINY),
        lambda: anchor_from_file(cifar_resnets, "resnet20"),
    ]
    for make in makers:
        one, two = make(), make()
        assert all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))
        assert one.state_dict().keys() == two.state_dict().keys()
        assert not one.training
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_from_a_file(tmp_path, cifar_resnets):
    path = tmp_path / "w.safetensors"
    for make in (
        lambda **given: anchor_from_timm("vit_tiny_patch16_224", arguments=TINY, **given),
        lambda **given: anchor_from_file(cifar_resnets, "resnet20", **given),
    ):
        random = make().model.state_dict()
        wanted = {name: (tensor + 1).clone() for name, tensor in random.items()}
        save_file(wanted, path)
        got = make(weights=path).model.state_dict()
        assert got.keys() == wanted.keys()
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)


def test_a_saved_folder(tmp_path):
    anchor = anchor_from_timm("vit_tiny_patch16_224", name="tiny", arguments=TINY)
    save_anchor(anchor, tmp_path / "tiny")
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(load_anchor(str(tmp_path / "tiny"))(x), anchor(x))
        assert load_anchor(f"other={tmp_path / 'tiny'}").name == "other"


def test_a_saved_folder_of_code_is_not_run(tmp_path, cifar_resnets):
    save_anchor(anchor_from_file(cifar_resnets, "resnet20"), tmp_path / "own")
    assert "brings its own architecture file" in message(str(tmp_path / "own"))
