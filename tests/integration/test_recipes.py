"""The recipes for the papers' settings: their spaces at full size, and the whole way at smoke size."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
import yaml
from torchvision.transforms.functional import to_pil_image

from stitchable.cli.arguments import add_sections, command_parser, parse
from stitchable.cli.main import main
from stitchable.runs.fit import load_anchors, make_space
from stitchable.space.build import SpaceOptions
from stitchable.training.samplers.options import SamplerOptions

RECIPES = Path(__file__).parents[2] / "recipes"
# Entries of the papers' spaces, anchors included.
PUBLISHED = {
    "imagenet_deit": 71,
    "imagenet_swin": 41,
    "imagenet_resnet": 10,
    "imagenet_resnet_swin": 8,
    "imagenet_levit": 8,
}


def values(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def call(*words):
    with redirect_stdout(StringIO()) as printed:
        main([str(word) for word in words])
    return printed.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixteen photos of two classes, of noise."""
    root, noise = tmp_path_factory.mktemp("photos"), torch.Generator().manual_seed(0)
    for number in range(16):
        folder = root / ("ant", "bee")[number % 2]
        folder.mkdir(exist_ok=True)
        pixels = torch.randint(256, (3, 40, 48), generator=noise, dtype=torch.uint8)
        to_pil_image(pixels).save(folder / f"{number}.png")
    return root


def test_every_recipe_for_imagenet_is_here():
    assert {path.stem for path in RECIPES.glob("imagenet_*.yaml")} == PUBLISHED.keys()
    assert {path.stem for path in (RECIPES / "smoke").glob("*.yaml")} == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_space_has_the_published_entries(name):
    """From the outlines of the real anchors, which need no weights."""
    recipe = values(RECIPES / f"{name}.yaml")
    assert all(text.endswith("@pretrained") for text in recipe["anchors"])
    anchors = load_anchors(recipe["anchors"], structure_only=True)
    space, _ = make_space(anchors, SpaceOptions(**recipe.get("space", {})), [])
    assert space.count == PUBLISHED[name]
    # Same size and normalisation; the photos are cut alike too, but in the pair of a CNN and a Swin.
    specs = {anchor.input_spec for anchor in anchors}
    assert {spec.size for spec in specs} == {(3, 224, 224)}
    assert {(spec.mean, spec.std) for spec in specs} == {((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
    assert len(specs) == 1 or name == "imagenet_resnet_swin"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_smoke_size_goes_all_the_way(name, photos, tmp_path):
    recipe, smoke, run = RECIPES / f"{name}.yaml", RECIPES / "smoke" / f"{name}.yaml", tmp_path / "run"
    data = ("--data.train", photos, "--data.val", photos)
    call("fit", "--config", recipe, "--config", smoke, "--run", run, *data)
    call("train", run)
    call("sweep", run)
    lines = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    assert len(lines) == PUBLISHED[name]
    assert len((run / "train.jsonl").read_text().splitlines()) == 2
    # All that the recipe says of training holds at smoke size too, but for what the smoke size says.
    said, small, used = values(recipe)["train"], values(smoke)["train"], values(run / "config.yaml")["train"]
    assert small.keys() <= {"epochs", "batch_size", "objective"}
    assert used["objective"].items() >= {**said.pop("objective"), **small.pop("objective")}.items()
    assert used.items() >= {**said, **small}.items()


def test_the_short_training_is_that_of_the_recipes_it_was_measured_with():
    short = values(RECIPES / "train_short.yaml")
    for name in ("cifar10_resnets", "cifar10_four_resnets"):
        whole = values(RECIPES / f"{name}.yaml")["train"]
        assert whole.pop("autocast") == "bfloat16"  # a matter of the machine
        assert whole["objective"].pop("teacher") == "resnet56"  # the dearest anchor, whatever it is called
        assert whole == short
    parser = command_parser("train", "")
    add_sections(parser, "train")
    given = parse(parser, ["--train", str(RECIPES / "train_short.yaml"), "--train.epochs", "5"]).train
    assert (given.epochs, given.interpolation, given.objective.mixup) == (5, 0.6, 1)
    assert given.sampler == SamplerOptions(kind="rounds")


def test_the_long_training_is_the_short_one_without_what_costs_there():
    short, long = (values(RECIPES / f"train_{length}.yaml") for length in ("short", "long"))
    left_out = {"mixup", "cutmix"}
    assert long["objective"] == {key: short["objective"][key] for key in short["objective"].keys() - left_out}
    assert long["sampler"] == short["sampler"]
    parser = command_parser("train", "")
    add_sections(parser, "train")
    given = parse(parser, ["--train", str(RECIPES / "train_long.yaml"), "--train.lr", "3e-3"]).train
    assert (given.interpolation, given.objective.mixes, given.lr) == (1, False, 3e-3)
