import json
from dataclasses import asdict, replace

import pytest
import torch
import yaml

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.load import load_anchor
from stitchable.data.loader import image_loader
from stitchable.data.sources import open_images
from stitchable.errors import StitchError
from stitchable.initialization.held_out import RIDGES
from stitchable.network import StitchedNetwork
from stitchable.runs.config import DataConfig, FitConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder


def test_fit_writes_configuration_network_and_r2(config, tmp_path, contents):
    run = RunFolder(tmp_path / "deep" / "run")
    made = fit_run(run, config)
    assert contents(run.path).keys() == {
        "config.yaml",
        "fit.json",
        "fitted",
        "fitted/README.md",
        "fitted/config.json",
        "fitted/model.safetensors",
    }
    back = StitchedNetwork.from_pretrained(run.fitted)
    assert list(map(str, back.space)) == list(map(str, made.network.space))
    assert json.loads(run.fit_file.read_text()) == [asdict(layer) for layer in made.layers]
    assert {layer.layer for layer in made.layers} == set(back.layers)
    # Four patches and a class token each, of exactly the images asked for: the last batch is cut.
    assert all(layer.rows == layer.pairs * 30 * 5 for layer in made.layers)
    assert yaml.safe_load(run.config_file.read_text()) == json.loads(json.dumps(asdict(config)))


def test_fit_is_the_same_for_the_same_seed(config, tmp_path, same_weights):
    runs = [RunFolder(tmp_path / name) for name in ("one", "two", "other")]
    for run, seed in zip(runs, (3, 3, 4), strict=True):
        fit_run(run, replace(config, seed=seed))
    assert same_weights(runs[0].fitted, runs[1].fitted)
    assert not same_weights(runs[0].fitted, runs[2].fitted)


def test_fit_of_more_images_than_there_are_takes_them_all(config, tmp_path):
    made = fit_run(RunFolder(tmp_path / "run"), replace(config, fit=FitConfig(images=10**6, batch_size=500)))
    assert all(layer.rows == layer.pairs * 1000 * 5 for layer in made.layers)


def test_kaiming_needs_no_images(config, tmp_path):
    run = RunFolder(tmp_path / "run")
    made = fit_run(run, replace(config, data=DataConfig(), fit=FitConfig(initialization="kaiming")))
    assert made.layers == []
    assert json.loads(run.fit_file.read_text()) == []
    fresh = StitchedNetwork([load_anchor(text) for text in config.anchor_texts], seed=0)
    for key, value in StitchedNetwork.from_pretrained(run.fitted).state_dict().items():
        assert torch.equal(value, fresh.state_dict()[key])


def test_pruning_is_told(config, tmp_path):
    made = fit_run(RunFolder(tmp_path / "run"), replace(config, prune=["deeper"]))
    assert len(made.notes) == 1
    assert "deeper" in made.notes[0]
    assert all(stitch.depth <= 3 for stitch in made.network.space)


def test_replacing_a_run_leaves_nothing_of_the_old_one(config, measured, contents):
    for name in ("curve.jsonl", "train.jsonl", "train.jsonl.partial", "train_summary.json", "report.html"):
        (measured / name).write_text("old")
    (measured / "network").mkdir()
    (measured / "network" / "config.json").write_text("old")
    fit_run(RunFolder(measured), config, overwrite=True)
    assert {name.split("/")[0] for name in contents(measured)} == {"config.yaml", "fit.json", "fitted"}


def test_nothing_is_written_where_fit_is_refused(config, tmp_path, measured, contents, corrupt, tiny_vit):
    save = load_anchor(config.anchor_texts[0])
    save.source = None
    unsavable = [save, load_anchor(config.anchor_texts[1])]
    elsewhere = [load_anchor(config.anchor_texts[0]), tiny_vit("five", 6)]
    cases = [
        (replace(config, data=DataConfig()), None, "No images named"),
        (replace(config, data=DataConfig(train="nowhere")), None, "No images at nowhere"),
        (
            replace(config, data=DataConfig(train=str(corrupt), corrupt_limit=0)),
            None,
            "bee/3.png does not read",
        ),
        (replace(config, anchors=config.anchor_texts[:1]), None, "Got 1 anchors"),
        (replace(config, anchors=config.anchor_texts[:1] * 2), None, "Anchor names must differ"),
        (replace(config, device="warp"), None, "No device 'warp'"),
        (config, unsavable, "does not say how its architecture is built again"),
        (config, elsewhere, "tells 10 classes apart, five 5"),
    ]
    before = contents(measured)
    for wrong, anchors, message in cases:
        for run, overwrite in ((RunFolder(tmp_path / "new"), False), (RunFolder(measured), True)):
            with pytest.raises(StitchError, match=message):
                fit_run(run, wrong, anchors, overwrite=overwrite)
        assert not (tmp_path / "new").exists(), message
        assert contents(measured) == before, message


def test_images_of_other_classes_are_refused(config, tmp_path, digit_models, photos):
    many = photos("many", tuple(f"class{number:02}" for number in range(11)))
    with pytest.raises(StitchError, match="labels up to 10; the anchors tell 10 classes apart"):
        fit_run(RunFolder(tmp_path / "new"), replace(config, data=DataConfig(str(many))))
    named = [load_anchor(text) for text in digit_models]
    for anchor in named:
        anchor.classes = ("bee", "ant", *map(str, range(8)))
    with pytest.raises(StitchError, match=r"Class 0 is 'ant' in .* and 'bee' for the anchors"):
        fit_run(
            RunFolder(tmp_path / "new"),
            replace(config, data=DataConfig(str(photos("two")))),
            named,
        )


def test_anchors_of_different_normalisation_are_refused_or_converted(config, tmp_path, tiny_vit):
    same, other = tiny_vit("same", 4, num_classes=10), tiny_vit("other", 6, num_classes=10)
    other = Anchor(
        other.model,
        other.split,
        name="other",
        input_spec=replace(other.input_spec, mean=(0.0,), std=(1.0,)),
        source=other.source,
    )
    with pytest.raises(StitchError, match=r"same and other take different images: .*--inputs other"):
        fit_run(RunFolder(tmp_path / "run"), config, [same, other])
    with pytest.raises(StitchError, match=r"inputs names no anchor 'sam'\. Nearest: same"):
        fit_run(RunFolder(tmp_path / "run"), replace(config, inputs="sam"), [same, other])
    assert not (tmp_path / "run").exists()

    made = fit_run(RunFolder(tmp_path / "run"), replace(config, inputs="same"), [same, other])
    assert made.network.input_spec == same.input_spec
    # Another normalisation is converted without a loss: both figures are the accuracy of the anchor itself.
    loader = image_loader(open_images("digits:val"), other.input_spec, batch_size=100)
    with torch.no_grad():
        right = sum(int((other.eval()(x).argmax(1) == y).sum()) for x, y in loader)
    images = len(open_images("digits:val"))
    [note] = made.notes
    assert note.startswith("other converts its images (input mean 0 is not 0.5)")
    assert note.count(f"{100 * right / images:.1f} %") == 2
    assert f"on {images} held-out images" in note
    back = StitchedNetwork.from_pretrained(RunFolder(tmp_path / "run").fitted)
    assert back.anchors["other"].own_input == other.input_spec


def test_ridge_and_images_chosen_are_written_and_told(config, tmp_path):
    run = RunFolder(tmp_path / "run")
    auto = FitConfig(images="auto", images_limit=800, ridge="auto", batch_size=40)
    made = fit_run(run, replace(config, fit=auto))
    layers = json.loads(run.fit_file.read_text())
    assert layers == [asdict(layer) for layer in made.layers]
    # A fifth is held out: 160 images; 240 come first, then twice as many, then what is left.
    assert {layer["images"] for layer in layers} <= {160 + 240, 160 + 480, 800}
    assert all(layer["rows"] == layer["pairs"] * layer["images"] * 5 for layer in layers)
    assert all(layer["held_out_r2"] <= 1 and layer["ridge"] in RIDGES for layer in layers)
    images, ridges = made.notes
    assert "with 240" in images
    assert "with 480" in images
    assert ridges.startswith("Ridges chosen on held-out images: ")
    plain = fit_run(RunFolder(tmp_path / "plain"), config)
    assert {(layer.ridge, layer.images, layer.held_out_r2) for layer in plain.layers} == {(0.0, 30, None)}


def test_a_ridge_chosen_among_one_is_that_of_a_number(config, tmp_path, monkeypatch):
    """The same images, the same sums, another road: held out, and added up in the end."""
    monkeypatch.setattr("stitchable.runs.fit.RIDGES", (1e-3,))
    runs = [RunFolder(tmp_path / name) for name in ("auto", "number")]
    for run, ridge in zip(runs, ("auto", 1e-3), strict=True):
        fit_run(run, replace(config, fit=FitConfig(images=95, batch_size=20, ridge=ridge)))
    ours, theirs = (StitchedNetwork.from_pretrained(run.fitted).state_dict() for run in runs)
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=1e-6, atol=1e-7)


def test_classifiers_of_joints_are_in_the_run(config, tmp_path, contents):
    run = RunFolder(tmp_path / "run")
    fit = FitConfig(images=100, batch_size=20, correct="classifier")
    made = fit_run(run, replace(config, fit=fit))
    assert {each.images for each in made.classifiers} == {100}
    assert {each.joint for each in made.classifiers} == {str(joint) for joint in made.network.space.joints}
    assert made.notes[-1].startswith(f"{len(made.classifiers)} joints have classifiers of their own")
    back = StitchedNetwork.from_pretrained(run.fitted)
    assert back.owned == "classifier"
    for key, value in made.network.state_dict().items():
        assert torch.equal(back.state_dict()[key], value)
    for text in config.anchor_texts:  # anchors keep their bits
        anchor = load_anchor(text)
        for key, value in anchor.state_dict().items():
            assert torch.equal(back.anchors[anchor.name].state_dict()[key], value)
    with pytest.raises(StitchError, match="Of 30 images in batches of 50 none can be held out"):
        fit_run(RunFolder(tmp_path / "new"), replace(config, fit=replace(fit, images=30, batch_size=50)))
    assert not (tmp_path / "new").exists()
