"""Every bad input through the command line: one line that says what to do, and nothing is lost."""

import json
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from stitchable.anchors.store import save_anchor
from stitchable.cli.main import COMMANDS, main
from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve
from stitchable.runs.config import InputConfig, RunConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.similarity_options import SimilarityOptions
from stitchable.runs.zoo_config import ZooConfig
from stitchable.training.options import FinetuneOptions

KEPT = ["--data.train", "digits:train", "--data.val", "digits:val", "--fit.images", "30"]


@pytest.fixture
def harmless(refused, tmp_path, contents):
    """Runs a command that is refused; gives its line, and makes sure that all files are as before."""

    def call(*words):
        before = contents(tmp_path)
        line = refused(*words)
        assert contents(tmp_path) == before
        return line

    return call


@pytest.fixture
def fit(harmless, digit_models, tmp_path):
    """A refused ``fit`` of the small anchor and another one; further words may follow."""

    def call(other, *words, first=digit_models[0]):
        return harmless("fit", "--run", tmp_path / "new", "--anchors", f"{first},{other}", *KEPT, *words)

    return call


# Anchors


@pytest.mark.parametrize("command", ["inspect", "space", "fit"])
def test_an_unknown_model_is_told_its_nearest(harmless, tmp_path, command):
    words = {
        "inspect": ["deit_tinny_patch16_224"],
        "space": ["--anchors", "deit_tinny_patch16_224,resnet18"],
        "fit": ["--anchors", "deit_tinny_patch16_224@random,resnet18@random", "--run", tmp_path / "new"],
    }
    line = harmless(command, *words[command])
    assert line.startswith("Unknown model 'deit_tinny_patch16_224'. Nearest: deit_tiny_patch16_224")


def test_anchors_that_do_not_go_together(fit, tiny_vit, tmp_path):
    def saved(name, **arguments):
        save_anchor(tiny_vit(name, 6, **{"num_classes": 10, **arguments}), tmp_path / name)
        return tmp_path / name

    assert "small tells 10 classes apart, five 5" in fit(saved("five", num_classes=5))
    config = json.loads((saved("bright") / "config.json").read_text())
    config["anchors"][0]["input"]["mean"] = [0.25]
    (tmp_path / "bright" / "config.json").write_text(json.dumps(config))
    assert "input mean 0.5 is not 0.25" in fit(tmp_path / "bright")
    assert "input size 1×8×8 is not 1×16×16" in fit(saved("wide", side=16))


def test_anchors_of_one_name(fit, digit_models):
    assert "Anchor names must differ; got small, small" in fit(digit_models[0])


def test_weights_that_are_not_there_broken_or_another_model_s(fit, digit_models, tmp_path):
    whole = Path(digit_models[1], "model.safetensors")
    for name, content, message in (
        ("truncated", whole.read_bytes()[:-100], "is not a whole safetensors file"),
        ("broken", b"PK\x03\x04 this is a zip", "is not a whole safetensors file"),
        ("empty", b"", "is not a whole safetensors file"),
    ):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        line = fit(f"{digit_models[1]}@{path}")
        assert str(path) in line, name
        assert message in line, name
    assert "No weight file" in fit(f"{digit_models[1]}@{tmp_path / 'none.safetensors'}")
    assert "has shape" in fit(f"{digit_models[1]}@{digit_models[0]}/model.safetensors")
    (tmp_path / "old.pth").write_bytes(b"a pickle")
    assert "may hold a pickle" in fit(f"{digit_models[1]}@{tmp_path / 'old.pth'}")


def test_sources_that_are_none(fit, digit_models, tmp_path):
    assert "No folder nowhere/at/all" in fit("nowhere/at/all")
    assert "is not a saved anchor: it has no config.json" in fit(tmp_path)
    assert "has no weights" in fit("resnet18")
    (tmp_path / "own.py").write_text("def smal():\n    return 3\n")
    assert "has no function 'small'. Nearest: smal." in fit(f"{tmp_path}/own.py:small")
    assert "returned int; it must return an Anchor" in fit(f"{tmp_path}/own.py:smal")
    assert "names no function" in fit(f"{tmp_path}/own.py")
    (tmp_path / "own.py").write_text("1 / 0\n")
    assert "own.py does not run: ZeroDivisionError: division by zero" in fit(f"{tmp_path}/own.py:small")


def test_a_saved_folder_without_what_it_needs(fit, digit_models, tmp_path):
    config = json.loads(Path(digit_models[1], "config.json").read_text())
    folder = tmp_path / "saved"
    folder.mkdir()
    for change, message in (
        ({"anchors": []}, "anchors is empty"),
        ({"anchors": [{**config["anchors"][0], "input": None}]}, "anchors[0].input is None, not a mapping"),
        ({"anchors": 3}, "anchors is 3, not a list"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        line = fit(folder)
        assert str(folder / "config.json") in line
        assert message in line


# Images


def test_images_that_do_not_read(fit, digit_models, corrupt, tmp_path):
    other = digit_models[1]
    (tmp_path / "empty").mkdir()
    (tmp_path / "photo.jpg").write_bytes(b"no photo")
    for path, message in (
        (corrupt, "bee/3.png does not read as an image"),
        (tmp_path / "empty", "holds no class folders"),
        (tmp_path / "none", f"No images at {tmp_path / 'none'}"),
        (tmp_path / "photo.jpg", "is neither parquet nor a tar shard"),
        ("digits:tran", "names no split of the digits. Allowed: digits:train, digits:val."),
        ("", "No images named. Give --data.train"),
    ):
        assert message in fit(other, "--data.train", path, "--data.corrupt_limit", 0)


@pytest.mark.parametrize("command", ["sweep", "train"])
def test_a_run_keeps_what_it_had_when_images_do_not_read(harmless, measured, corrupt, command):
    key = {"sweep": "--data.val", "train": "--data.train"}[command]
    line = harmless(command, measured, key, corrupt / "nowhere", "--device", "cpu")
    assert line.startswith("No images at")
    if command == "sweep":
        line = harmless(command, measured, key, corrupt, "--data.corrupt_limit", 0, "--overwrite")
        assert "bee/3.png does not read as an image" in line


# Configurations


def test_configurations_that_do_not_read(fit, digit_models, tmp_path):
    path = tmp_path / "config.yaml"
    for text, message in (
        ("train: {epoch: 3}", "Unknown key 'train.epoch'. Nearest: train.epochs"),
        ("sede: 3", "Unknown argument 'sede'. Nearest: seed"),
        ("train: {epochs: many}", 'Key "train.epochs": expected int. Got value: many.'),
        ("train: {objective: {sof: 1}}", "Unknown key 'train.objective.sof'. Nearest: train.objective"),
        ("space: {joints: [1]}", 'Key "space.joints": expected int.'),
        ("a: [1, 2\nb: {", "Problems parsing config"),
        ("only words", "holds keys and values"),
    ):
        path.write_text(text)
        assert message in fit(digit_models[1], "--config", path)
    assert "none.yaml" in fit(digit_models[1], "--config", tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--space.kernl", 3], "Unknown argument '--space.kernl'. Nearest: --space.kernel"),
        (["--space.kernel", 0], "Got kernel 0, stride 1, joints 1"),
        (["--space.rule", "three_way"], "expected one of ['auto', 'two_way', 'given']"),
        (["--space.stages", "[4]"], "Got stage 4; small can be left for medium in stage 0"),
        (["--prune", "[dearr]"], "expected one of"),
        (["--device", "abacus"], "No device 'abacus' here"),
        (["--fit.ridge", -1], "fit.ridge -1"),
    ],
)
def test_options_that_do_not_exist_or_do_not_fit(fit, digit_models, words, message):
    assert message in fit(digit_models[1], *words)


# Folders


def test_a_folder_that_is_in_use(harmless, measured, digit_models, tmp_path):
    words = ["--anchors", ",".join(digit_models), *KEPT]
    assert "already holds a run" in harmless("fit", "--run", measured, *words)
    assert "--overwrite" in harmless("fit", "--run", measured, *words)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    for more in ([], ["--overwrite"]):
        assert "is not empty and holds no run" in harmless("fit", "--run", tmp_path / "mine", *words, *more)
    for place in (tmp_path / "mine" / "thesis.txt", tmp_path / "mine" / "thesis.txt" / "run"):
        assert "thesis.txt is a file. Name a folder" in harmless("fit", "--run", place, *words)
    assert "is not empty" in harmless("extract", measured, "--stitch", "small", "--out", tmp_path / "mine")
    below = tmp_path / "mine" / "thesis.txt" / "model"
    assert "Not a directory" in harmless("extract", measured, "--stitch", "small", "--out", below)


@pytest.mark.parametrize("command", ["sweep", "train", "pick", "menu", "report", "extract"])
def test_a_folder_that_is_no_run(harmless, tmp_path, command):
    more = {"pick": ["--macs", "1M"], "extract": ["--stitch", "small", "--out", tmp_path / "out"]}
    (tmp_path / "other").mkdir()
    for folder in ("other", "none"):
        line = harmless(command, tmp_path / folder, *more.get(command, []))
        assert "holds no run: it has no config.yaml. Make one with 'stitchable fit'." in line


def test_a_run_whose_network_is_gone_or_broken(harmless, measured, tmp_path):
    config = measured / "fitted" / "config.json"
    whole = json.loads(config.read_text())
    commands = (
        ["sweep", measured],
        ["train", measured],
        ["extract", measured, "--stitch", "small", "--out", tmp_path / "out"],
    )
    joints = [["small", 1, "medium", "one", "layer"]]
    for broken, message in (
        ({key: value for key, value in whole.items() if key != "space"}, "space is missing"),
        ({**whole, "space": {**whole["space"], "joints": joints}}, "space.joints[0][3] is 'one'"),
        ({**whole, "outlines": {"small": {}}}, "outlines.small.stages is missing"),
    ):
        config.write_text(json.dumps(broken))
        for words in (*commands, ["report", measured]):
            line = harmless(*words)
            assert str(config) in line
            assert message in line
    config.unlink()
    for words in commands:
        assert "is not a saved network: it has no config.json" in harmless(*words)


# Commands out of turn


def test_pick_says_what_it_needs(harmless, fitted, measured_template):
    assert "No curve at" in harmless("pick", fitted, "--macs", "1M")
    assert "Measure one first with 'stitchable sweep'" in harmless("pick", fitted, "--macs", "1M")
    assert "No budget was given" in harmless("pick", measured_template)
    cheapest = min(row.macs for row in read_curve(measured_template / "curve_fitted.jsonl"))
    assert f"({cheapest})" in harmless("pick", measured_template, "--macs", "1")
    assert "'lots' is not a count" in harmless("pick", measured_template, "--macs", "lots")
    assert "No curve at" in harmless("menu", fitted)


def test_report_says_what_it_needs(harmless, fitted, measured_template):
    assert "No curve at" in harmless("report", fitted)
    line = harmless("report", measured_template, "--stitch", "small[0:1]+medium[1:4]")
    assert "Stitch 'small[0:1]+medium[1:4]' is not on the curve. Nearest: small[0:1]+medium[1:3]" in line


def test_extract_names_the_nearest_stitches(harmless, fitted, tmp_path):
    for stitch, message in (
        ("small[0:1]+medium[2:3]", "Nearest: small[0:1]+medium[1:3]"),
        ("smal", "'smal' is no anchor, and no stitch id such as"),
        ("small[0:1]+mediun[1:3]", "there is no anchor 'mediun'. Nearest: medium."),
    ):
        assert message in harmless("extract", fitted, "--stitch", stitch, "--out", tmp_path / "out")


def test_training_twice_is_asked_for(run, harmless, fitted):
    quick = ["--train.epochs", 1, "--train.batch_size", 500, "--train.augment", "none"]
    run("train", fitted, *quick)
    assert "is trained already. Pass --overwrite" in harmless("train", fitted, *quick)


def test_nested_options_are_kept_in_the_run_and_overridden_by_the_next_command(run, fitted):
    quick = ["--train.epochs", 1, "--train.batch_size", 500, "--train.augment", "none"]
    objective = ["--train.objective.soft_distillation", 0.5, "--train.objective.temperature", 2]
    parts = ["--train.lr_multipliers", '{"small.stem": 0.5, "layers": 2}']
    run("train", fitted, *quick, *objective, *parts, "--train.objective.teacher", "small")
    run("train", fitted, "--overwrite", "--train.objective.temperature", 4)
    kept = RunFolder(fitted).read_config()["train"]
    assert kept["lr_multipliers"] == {"small.stem": 0.5, "layers": 2.0}
    named = ("soft_distillation", "temperature", "teacher")
    assert [kept["objective"][name] for name in named] == [0.5, 4.0, "small"]


def test_code_of_a_folder_is_not_run_unasked(harmless, digit_models, tmp_path, run):
    ran = tmp_path / "ran"
    (tmp_path / "own.py").write_text(
        "from pathlib import Path\n"
        "from stitchable.anchors.load import load_anchor\n"
        f"Path({str(ran)!r}).touch()\n"
        f"def medium(): return load_anchor({digit_models[1]!r})\n"
    )
    folder = tmp_path / "run"
    anchors = f"{digit_models[0]},{tmp_path}/own.py:medium"
    run("fit", "--run", folder, "--anchors", anchors, *KEPT)  # a file that is named is trusted
    ran.unlink()
    for words in (
        ["sweep", folder],
        ["train", folder],
        ["extract", folder, "--stitch", "small", "--out", tmp_path / "out"],
    ):
        assert "Read it, then allow it with trust_code=True (--trust_code" in harmless(*words)
    assert not ran.exists()


# Help


def keys(config, prefix=""):
    """Dotted names of all fields of a configuration, sections taken apart."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from keys(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


OPTIONS = {
    "info": set(),
    "demo": {"out", "overwrite"},
    "inspect": {"format", "inputs", "trust_code"},
    "finetune": {
        *keys(InputConfig()),
        *keys(FinetuneOptions()),
        *(key for key in keys(RunConfig()) if key.startswith("data.")),
        *("config", "out", "seed", "device", "trust_code"),
    },
    "space": {*keys(RunConfig()), "config", "format", "limit", "trust_code"},
    "fit": {*keys(RunConfig()), "config", "run", "overwrite", "trust_code"},
    "reassemble": {
        *keys(ZooConfig()),
        *("config", "params", "macs", "score", "top", "run", "overwrite", "format", "trust_code"),
        "train",  # the section; without a value it goes on with training
    },
    "train": {
        *(key for key in keys(RunConfig()) if key.startswith(("data.", "train."))),
        *("seed", "device", "trust_code", "overwrite", "resume"),
    },
    "sweep": {
        *(key for key in keys(RunConfig()) if key.startswith(("data.", "sweep."))),
        *("seed", "device", "trust_code", "overwrite", "weights", "limit", "stitches", "target"),
    },
    "profile": {"batch", "dtype", "threads", "runtime", "device", "check", "seconds", "trust_code"},
    "predict": {
        *(key for key in keys(RunConfig()) if key.startswith("data.")),
        *("images", "limit", "format", "seed", "trust_code"),
    },
    "search": {
        *(key for key in keys(RunConfig()) if key.startswith(("data.", "sweep."))),
        *("macs", "evaluations", "generation", "strategy", "format", "seed", "device", "trust_code"),
    },
    "similarity": {
        *(key for key in keys(RunConfig()) if key.startswith("data.")),
        *keys(SimilarityOptions()),
        *("out", "overwrite", "inputs", "seed", "device", "trust_code"),
    },
    "pick": {"macs", "params", "format"},
    "seeds": {"format"},
    "report": {"title", "stitch"},
    "extract": {
        *(key for key in keys(RunConfig()) if key.startswith("data.")),
        *("stitch", "out", "trust_code", "device", "sweep.batch_size", "sweep.calibration_images"),
    },
}
CONDITION = {"batch", "runtime", "dtype", "threads", "device", "percentile"}
OPTIONS["pick"] |= {"latency", "memory", "top1", "sure", "cheapest", *CONDITION}
OPTIONS["menu"] = {"size", "axis", "keep_anchors", "top1", "confidence", "gap", "out", "format", *CONDITION}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option(capsys, command):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    words = capsys.readouterr().out.replace("]", " ").replace("=", " ").split()
    assert {f"--{option}" for option in OPTIONS[command]} <= set(words)


def test_debug_lets_the_error_through(digit_models, tmp_path):
    with pytest.raises(StitchError, match=r"^No weight file none\.safetensors\.$"):
        main(
            [
                "fit",
                "--debug",
                "--run",
                str(tmp_path / "new"),
                "--anchors",
                f"{digit_models[0]}@none.safetensors,b",
            ]
        )
    below = tmp_path / "file" / "model"
    below.parent.touch()
    with pytest.raises(StitchError, match="file is a file"):
        main(["--debug", "fit", "--run", str(below), "--anchors", ",".join(digit_models)])


# In a process of its own


def test_the_process_says_the_same(digit_models, tmp_path):
    anchors = f"{digit_models[0]},{digit_models[1]}@none.safetensors"
    command = [sys.executable, "-m", "stitchable", "fit", "--run", "new", "--anchors", anchors, *KEPT]
    plain = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path)
    assert (plain.returncode, plain.stdout) == (2, "")
    assert plain.stderr == "stitchable: No weight file none.safetensors.\n"
    assert list(tmp_path.iterdir()) == []
