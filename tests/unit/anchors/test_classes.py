import pytest
import torch

from stitchable.anchors.check import check_anchor
from stitchable.anchors.classes import classifier_parameters, input_for, with_classes
from stitchable.anchors.load import anchor_from_file, anchor_from_timm, load_anchor
from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.source import TimmSource
from stitchable.anchors.store import save_anchor
from stitchable.errors import StitchError

CLASSES = ("ant", "bee", "cat")
SMALL = {"img_size": 32, "depth": 2, "embed_dim": 12, "num_heads": 2}


def weights(anchor):
    return {key: value.clone() for key, value in anchor.model.state_dict().items()}


@pytest.fixture
def distilled():
    return anchor_from_timm("deit_tiny_distilled_patch16_224", arguments=SMALL)


@pytest.mark.parametrize("build", ["vit", "resnet", "distilled"])
def test_only_the_classifier_is_new(request, build):
    made = request.getfixturevalue(build)
    anchor = {"vit": lambda: made("a", 12), "resnet": lambda: made("a"), "distilled": lambda: made}[build]()
    before, state = weights(anchor), torch.get_rng_state()
    changed = with_classes(anchor, CLASSES, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    head = classifier_parameters(changed)
    after = weights(changed)
    assert after.keys() == before.keys()
    assert {key for key in after if not torch.equal(after[key], before[key])} == head
    assert {key.split(".")[0] for key in head} == {
        "vit": {"head"},
        "resnet": {"fc"},
        "distilled": {"head", "head_dist"},
    }[build]
    assert (changed.name, changed.class_count, changed.classes) == (anchor.name, 3, CLASSES)
    assert check_anchor(changed).difference == 0


def test_the_seed_decides_the_classifier(resnet):
    made = [weights(with_classes(resnet("a"), CLASSES, seed=seed)) for seed in (0, 0, 1)]
    assert torch.equal(made[0]["fc.weight"], made[1]["fc.weight"])
    assert not torch.equal(made[0]["fc.weight"], made[2]["fc.weight"])


def test_what_is_saved_reads_back_with_its_classes(resnet, tmp_path):
    anchor = resnet("a")
    changed = with_classes(anchor, CLASSES, input_spec=input_for(anchor, size=48, mean=0.25))
    save_anchor(changed, tmp_path / "a")
    back = load_anchor(str(tmp_path / "a"))
    assert (back.classes, back.input_spec) == (CLASSES, changed.input_spec)
    images = torch.randn(2, 3, 48, 48)
    assert torch.equal(back(images), changed(images))


def test_the_same_classes_keep_their_classifier(resnet):
    anchor = with_classes(resnet("a"), CLASSES)
    before = weights(anchor)
    again = with_classes(anchor, CLASSES, seed=9)
    assert all(torch.equal(value, before[key]) for key, value in weights(again).items())
    renamed = with_classes(again, ("ant", "bee", "dog"), seed=9)
    assert not torch.equal(weights(renamed)["fc.weight"], before["fc.weight"])


def test_a_vit_takes_another_size_with_its_positions_resampled(vit, tmp_path):
    anchor = vit("a", 12)
    with torch.no_grad():  # an embedding that is the same at all patches stays so at any number of them
        anchor.model.pos_embed[:, 1:] = torch.arange(12.0)
    token, before = anchor.model.pos_embed[:, :1].clone(), weights(anchor)
    changed = with_classes(anchor, CLASSES, input_spec=input_for(anchor, size=64))
    positions = changed.model.pos_embed.detach()
    assert changed.features[0].shape(1) == (1, 17, 12)
    assert torch.equal(positions[:, :1], token)
    torch.testing.assert_close(positions[:, 1:], torch.arange(12.0).expand(1, 16, 12))
    moved = {key for key, value in weights(changed).items() if not torch.equal(value, before[key])}
    assert moved == {"pos_embed", "head.weight", "head.bias"}
    save_anchor(changed, tmp_path / "a")
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(load_anchor(str(tmp_path / "a"))(images), changed(images))


def test_an_input_is_the_anchors_but_for_what_is_said(resnet):
    anchor = resnet("a")
    assert input_for(anchor) == anchor.input_spec
    spec = input_for(anchor, size=40, mean=[0.1, 0.2, 0.3], std=0.25, crop_pct=0.5)
    assert (spec.size, spec.mean, spec.std, spec.crop_pct) == ((3, 40, 40), (0.1, 0.2, 0.3), (0.25,) * 3, 0.5)
    with pytest.raises(StitchError, match="Input mean has 2 values for 3 channels"):
        input_for(anchor, mean=[0.1, 0.2])


def test_a_model_of_ones_own_brings_its_classes(cifar_resnets):
    anchor = anchor_from_file(cifar_resnets, "resnet20")
    with pytest.raises(StitchError, match="resnet20 tells 10 classes apart, the images have 3"):
        with_classes(anchor, CLASSES)
    before, names = weights(anchor), tuple("abcdefghij")
    kept = with_classes(anchor, names)
    assert kept.classes == names
    assert all(torch.equal(value, before[key]) for key, value in weights(kept).items())
    assert classifier_parameters(kept) == {"linear.weight", "linear.bias"}


def test_a_source_that_builds_another_model_is_refused_before_any_training(resnet):
    anchor = resnet("a")
    lying = anchor_from_module(
        anchor.model, name="a", input_spec=anchor.input_spec, source=TimmSource("resnet18")
    )
    with pytest.raises(StitchError, match=r"^a: timm's resnet18 \{'num_classes': 3\} has another fc\.weight"):
        with_classes(lying, CLASSES)
