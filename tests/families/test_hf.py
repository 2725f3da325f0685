"""Families of transformers. `MODELS` has rows of library, model class, configuration and input size."""

import json
import pkgutil
import subprocess
import sys

import pytest
import torch
from torch import nn

from stitchable.anchors.check import check_anchor
from stitchable.anchors.hf_input import hf_input
from stitchable.anchors.hf_source import HfSource
from stitchable.anchors.load import anchor_from_hf, load_anchor
from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.registry import families
from stitchable.anchors.store import load_saved_anchor, save_anchor
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.input_spec import InputSpec

transformers = pytest.importorskip("transformers")

HEADS = {"num_hidden_layers": 2, "num_attention_heads": 2}
DINO = {**HEADS, "mlp_ratio": 2, "patch_size": 16}
SWIN = {"embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}
CONVNEXT = {"hidden_sizes": [8, 12], "depths": [1, 2], "num_stages": 2, "image_size": 32, "num_labels": 5}
MODELS = [
    ("hf", "ViTForImageClassification", {**HEADS, "hidden_size": 16, "intermediate_size": 32}, 32),
    (
        "hf",
        "Dinov2ForImageClassification",
        {**HEADS, "hidden_size": 16, "mlp_ratio": 2, "patch_size": 16},
        32,
    ),
    (
        "hf",
        "Dinov2WithRegistersForImageClassification",
        {**DINO, "hidden_size": 16, "num_register_tokens": 3},
        32,
    ),
    ("hf", "SwinForImageClassification", SWIN, 64),
    ("hf", "SwinForImageClassification", {**SWIN, "use_absolute_embeddings": True}, 64),
    ("hf", "ConvNextForImageClassification", CONVNEXT, 32),
    ("hf", "ConvNextV2ForImageClassification", CONVNEXT, 32),
]
MAPS = (*[FeatureSpec("map", 8, (8, 8))] * 2, *[FeatureSpec("map", 12, (4, 4), stage=1)] * 2)
WINDOWS = (
    *[FeatureSpec("map", 8, (16, 16), channels_last=True)] * 3,
    *[FeatureSpec("map", 16, (8, 8), stage=1, channels_last=True)] * 2,
)
FEATURES = [
    (FeatureSpec("tokens", 16, (2, 2), prefix_tokens=1),) * 3,
    (FeatureSpec("tokens", 16, (2, 2), prefix_tokens=1),) * 3,
    (FeatureSpec("tokens", 16, (2, 2), prefix_tokens=4),) * 3,
    WINDOWS,
    WINDOWS,
    MAPS,
    MAPS,
]


def build(name, config, size, **changes):
    kind = getattr(transformers, name.replace("ForImageClassification", "Config"))
    torch.manual_seed(0)
    options = {"image_size": size, "num_labels": 5, **config, **changes}
    return getattr(transformers, name)(kind(**options)).eval()


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hf") / "tiny"
    labels = {0: "cat", 1: "dog"}
    model = build(*MODELS[0][1:], num_labels=2, id2label=labels)
    nn.init.ones_(model.classifier.weight)  # weights that no fresh model has
    model.save_pretrained(folder)
    return folder


def images_of(size):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("row", "features"), list(zip(MODELS, FEATURES, strict=True)), ids=[row[1] for row in MODELS]
)
def test_models_recompose_and_read_back(tmp_path, row, features):
    _, name, config, size = row
    model = build(name, config, size)
    for parameter in model.parameters():  # biases and scales that start at 0 or 1 would hide a mistake
        nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(tmp_path / "theirs")
    anchor = load_anchor(f"a=hf:{tmp_path / 'theirs'}", need_weights=True)
    check_anchor(anchor)
    assert anchor.features == features
    save_anchor(anchor, tmp_path / "ours")
    again = load_saved_anchor(tmp_path / "ours")
    assert again.source == anchor.source
    with torch.no_grad():
        logits = model(images_of(size)).logits
        assert logits.std() > 0.01
        assert torch.equal(anchor(images_of(size)), logits)
        assert torch.equal(again(images_of(size)), logits)


def test_eager_attention_recomposes_too():
    model = build(*MODELS[0][1:])
    model.set_attn_implementation("eager")
    spec = InputSpec((3, 32, 32), (0.5,) * 3, (0.5,) * 3)
    check_anchor(anchor_from_module(model, name="eager", input_spec=spec))


def test_classes_and_names_come_from_the_folder(vit_folder):
    anchor = load_anchor(f"hf:{vit_folder}")
    assert (anchor.name, anchor.classes) == ("tiny", ("cat", "dog"))
    assert HfSource({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}).classes is None
    assert str(vit_folder.parent) not in json.dumps(anchor.source.to_dict())


def test_random_weights_and_structure_alone(vit_folder):
    trained, random = load_anchor(f"hf:{vit_folder}"), load_anchor(f"hf:{vit_folder}@random")
    assert not torch.equal(trained.model.classifier.weight, random.model.classifier.weight)
    light = load_anchor(f"hf:{vit_folder}", structure_only=True)
    assert light.outline == trained.outline
    assert next(light.parameters()).is_meta


def test_weights_that_do_not_cover_the_model_are_refused(vit_folder, tmp_path):
    build(*MODELS[0][1:], num_labels=2).vit.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((vit_folder / "config.json").read_text())
    with pytest.raises(StitchError, match=r"its weights lack 2 tensors \(classifier.bias, …\)"):
        anchor_from_hf(str(tmp_path))


def test_pickles_are_never_read(vit_folder, tmp_path):
    (tmp_path / "config.json").write_text((vit_folder / "config.json").read_text())
    torch.save(build(*MODELS[0][1:], num_labels=2).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(StitchError, match=r"Give a folder with config\.json and model\.safetensors"):
        anchor_from_hf(str(tmp_path))


def test_what_is_no_folder_is_a_hub_id_and_says_so(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StitchError) as error:
        load_anchor("hf:nobody/no-such-model")
    assert "taken for a hub id, which needs the network" in str(error.value)
    assert "\n" not in str(error.value)


def test_input_is_read_from_the_preprocessor(vit_folder):
    record = {
        "size": {"shortest_edge": 40},
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.4, 0.5, 0.6],
        "resample": 2,
    }
    expected = InputSpec(
        (3, 32, 32), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), interpolation="bilinear", crop_pct=0.8
    )
    assert hf_input(record, {}) == expected
    (vit_folder / "preprocessor_config.json").write_text(json.dumps(record))
    try:
        assert load_anchor(f"hf:{vit_folder}").input_spec == expected
    finally:
        (vit_folder / "preprocessor_config.json").unlink()
    assert load_anchor(f"hf:{vit_folder}").input_spec == InputSpec((3, 32, 32), (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("record", "config", "size", "crop_pct"),
    [
        ({"size": 384}, {}, (3, 384, 384), 1.0),
        ({"size": {"height": 32, "width": 48}}, {}, (3, 32, 48), 1.0),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, {}, (3, 224, 224), 0.875),
        ({}, {"image_size": [32, 64], "num_channels": 1}, (1, 32, 64), 1.0),
    ],
)
def test_sizes_of_the_preprocessor(record, config, size, crop_pct):
    spec = hf_input(record, config)
    assert (spec.size, spec.crop_pct) == (size, crop_pct)


def test_the_classes_of_the_families_exist():
    for family in families():
        if family.library == "transformers":
            assert all(issubclass(pkgutil.resolve_name(cls), nn.Module) for cls in family.classes)


def test_transformers_is_imported_for_its_own_models_alone():
    code = (
        "import sys\n"
        "from stitchable.anchors.load import load_anchor\n"
        "load_anchor('vit_tiny_patch16_224', structure_only=True)\n"
        "assert 'transformers' not in sys.modules\n"
        "sys.modules['transformers'] = None\n"
        "try:\n    load_anchor('hf:anything')\nexcept Exception as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Run: pip install 'stitchable[hf]'" in done.stdout
