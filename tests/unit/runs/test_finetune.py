import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from stitchable.anchors.load import load_anchor
from stitchable.anchors.store import save_anchor
from stitchable.data.sources import open_images
from stitchable.data.transforms import evaluation_transform
from stitchable.errors import StitchError
from stitchable.runs.config import DataConfig, FitConfig, InputConfig, RunConfig
from stitchable.runs.finetune import best_of, finetune_anchor
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.training.options import FinetuneOptions

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (210, 50, 40)}
QUICK = FinetuneOptions(
    epochs=4,
    head_epochs=1,
    batch_size=8,
    lr=1e-2,
    head_lr=3e-2,
    label_smoothing=0.0,
    batch_norm="running",  # those of random weights fit nothing yet
)
IMAGES = InputConfig(size=24, mean=0.5, std=0.25, crop_pct=1.0)


@pytest.fixture(scope="session")
def jpegs(tmp_path_factory):
    """Photos of a colour each, of many sizes: 16 per class to train on, 6 held out."""
    root, draw = tmp_path_factory.mktemp("jpegs"), np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 6)):
        for name, colour in COLOURS.items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                shape = (*draw.integers(24, 40, 2), 3)
                pixels = np.clip(draw.normal(colour, 45, shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.jpg")
    return root


@pytest.fixture
def data(jpegs):
    return DataConfig(train=str(jpegs / "train"), val=str(jpegs / "val"))


@pytest.fixture
def model(resnet, tmp_path):
    """A saved anchor with random weights for ten other classes."""
    save_anchor(resnet("narrow"), tmp_path / "given")
    return str(tmp_path / "given")


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def top1(folder, photos):
    """By another road: the folder alone, image by image."""
    anchor, source = load_anchor(str(folder)), open_images(photos)
    transform = evaluation_transform(anchor.input_spec)
    with torch.no_grad():
        right = [int(anchor(transform(image).unsqueeze(0)).argmax()) == label for image, label in source]
    return 100 * sum(right) / len(right)


def test_a_model_learns_the_classes_of_a_folder(model, data, tmp_path):
    steps, losses, seen = [], [], []
    epochs = finetune_anchor(
        model,
        tmp_path / "out",
        data=data,
        images=IMAGES,
        options=QUICK,
        on_start=steps.append,
        on_step=losses.append,
        on_epoch=seen.append,
    )
    anchor = load_anchor(str(tmp_path / "out"))
    assert (anchor.name, anchor.classes) == ("narrow", ("blue", "green", "red"))
    assert (anchor.input_spec.size, anchor.input_spec.std) == ((3, 24, 24), (0.25,) * 3)
    assert steps == [4 * 6] == [len(losses)]
    assert seen == epochs
    assert [epoch.trained for epoch in epochs] == ["head", "all", "all", "all"]
    assert best_of(epochs).top1 > 85  # a colour is easy
    assert best_of(epochs).top1 == max(epoch.top1 for epoch in epochs)
    assert top1(tmp_path / "out", data.val) == pytest.approx(best_of(epochs).top1)
    assert lines(tmp_path / "out" / "finetune.jsonl") == [asdict(epoch) for epoch in epochs]
    assert {epoch.images for epoch in epochs} == {18}
    config = yaml.safe_load((tmp_path / "out" / "finetune.yaml").read_text(encoding="utf-8"))
    assert config == {"data": asdict(data), **asdict(IMAGES), **asdict(QUICK), "seed": 0, "device": "auto"}


def test_the_folder_holds_the_best_epoch_so_far(model, data, tmp_path):
    held = []
    epochs = finetune_anchor(
        model,
        tmp_path / "out",
        data=data,
        images=IMAGES,
        options=replace(QUICK, epochs=6, head_epochs=0, lr=3e-2, lr_floor=1.0),
        on_epoch=lambda epoch: held.append((tmp_path / "out" / "model.safetensors").read_bytes()),
    )
    for number in range(1, len(epochs)):
        assert (held[number] != held[number - 1]) == epochs[number].best
    best = [epoch.best for epoch in epochs]
    assert best[0]
    assert not all(best), "every epoch was the best; the test needs one that is not"
    order = [(epoch.top1, -epoch.val_loss) for epoch in epochs]
    assert best == [each > max(order[:number], default=(-1.0,)) for number, each in enumerate(order)]


def test_the_seed_decides_everything(model, data, tmp_path):
    options = replace(QUICK, epochs=2)
    for name, seed in (("first", 3), ("second", 3), ("third", 4)):
        finetune_anchor(model, tmp_path / name, data=data, images=IMAGES, options=options, seed=seed)
    read = {
        name: (tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second", "third")
    }
    assert read["first"] == read["second"] != read["third"]


def test_anchors_of_two_sizes_are_stitched_afterwards(resnet, data, tmp_path):
    for name, changes in (("narrow", {}), ("wide", {"channels": [6, 10, 14, 18]})):
        save_anchor(resnet(name, **changes), tmp_path / f"given_{name}")
        finetune_anchor(
            str(tmp_path / f"given_{name}"),
            tmp_path / name,
            data=data,
            images=IMAGES,
            options=replace(QUICK, epochs=1),
        )
    anchors = [str(tmp_path / name) for name in ("narrow", "wide")]
    config = RunConfig(anchors=anchors, data=data, fit=FitConfig(images=20))
    fitted = fit_run(RunFolder(tmp_path / "run"), config)
    assert fitted.network.classes == ("blue", "green", "red")
    assert fitted.network.space.count > 2


def test_an_interruption_keeps_the_best_so_far(model, data, tmp_path):
    def leave(epoch):
        if epoch.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune_anchor(model, tmp_path / "out", data=data, images=IMAGES, options=QUICK, on_epoch=leave)
    best = max(line["top1"] for line in lines(tmp_path / "out" / "finetune.jsonl"))
    assert len(lines(tmp_path / "out" / "finetune.jsonl")) == 2
    assert top1(tmp_path / "out", data.val) == pytest.approx(best)


def test_a_used_folder_is_refused_and_left_alone(model, data, tmp_path, contents):
    used, file = tmp_path / "used", tmp_path / "file"
    used.mkdir()
    (used / "notes.txt").write_text("mine")
    file.write_text("mine")
    for out in (used, file):
        before = contents(tmp_path)
        with pytest.raises(StitchError, match=f"{out.name} is not empty. Name a new folder"):
            finetune_anchor(model, out, data=data, images=IMAGES, options=QUICK)
        assert contents(tmp_path) == before


def test_what_goes_wrong_leaves_nothing_behind(model, data, tmp_path, corrupt, photos):
    two, wrong = str(photos("two")), str(photos("wrong", ("ant", "cow")))
    one = str(photos("one", ("ant",)))
    for changed, options, message in (
        (
            DataConfig(train=str(corrupt), val=two, corrupt_limit=0),
            replace(QUICK, augment="none"),
            r"bee/3\.png does not read",
        ),
        (DataConfig(train=two, val=str(corrupt), corrupt_limit=0), QUICK, r"bee/3\.png does not read"),
        (DataConfig(train=two, val=wrong), QUICK, "Class 1 is 'cow' in .*wrong and 'bee'"),
        (DataConfig(train=two, val=data.val), QUICK, "labels up to 2; the anchors tell 2 classes apart"),
        (DataConfig(train=one, val=one), QUICK, "one holds one class"),
        (DataConfig(train=two), QUICK, r"No images named. Give --data\.val"),
        (DataConfig(val=two), QUICK, r"No images named. Give --data\.train"),
        (data, replace(QUICK, lr=1e30, head_epochs=0, warmup=0.0), r"The loss of the model is \w+ at step"),
    ):
        with pytest.raises(StitchError, match=message):
            finetune_anchor(model, tmp_path / "out", data=changed, images=IMAGES, options=options)
        assert not (tmp_path / "out").exists(), message
    with pytest.raises(StitchError, match="'resnet18' has no weights"):
        finetune_anchor("resnet18", tmp_path / "out", data=data)
