from dataclasses import replace

import pytest
import yaml

from stitchable.cli.arguments import add_run_config, add_sections, command_parser, parse, parse_with_run
from stitchable.errors import StitchError
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.space.build import SpaceOptions
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.options import SamplerOptions


def read(*words):
    parser = command_parser("fit", "For the tests.")
    add_run_config(parser)
    arguments = parse(parser, [str(word) for word in words])
    return RunConfig(**{name: arguments[name] for name in RunConfig.__dataclass_fields__})


@pytest.fixture
def file(tmp_path):
    def write(values, name="config.yaml"):
        path = tmp_path / name
        if isinstance(values, bytes):
            path.write_bytes(values)
        else:
            path.write_text(values if isinstance(values, str) else yaml.safe_dump(values), encoding="utf-8")
        return path

    return write


# What is understood


def test_nothing_said_is_the_defaults():
    assert read() == RunConfig()


def test_words_reach_their_sections():
    got = read(
        *("--anchors", "a,b", "--seed", "3", "--device", "cpu", "--prune", "[deeper, equal]"),
        *("--space.kernel", "3", "--space.stages", "[0, 2]", "--data.train", "here", "--data.memory", "true"),
        *("--fit.ridge", "1e-3", "--fit.initialization", "kaiming", "--train.lr", "2e-4"),
        *("--train.clip_norm", "5", "--train.augment", "crop", "--sweep.images", "10"),
    )
    assert got == RunConfig(
        anchors="a,b",
        seed=3,
        device="cpu",
        prune=["deeper", "equal"],
        space=SpaceOptions(kernel=3, stages=(0, 2)),
        data=DataConfig(train="here", memory=True),
        fit=FitConfig(ridge=1e-3, initialization="kaiming"),
        train=TrainOptions(lr=2e-4, clip_norm=5.0, augment="crop"),
        sweep=SweepConfig(images=10),
    )


def test_a_file_gives_any_of_the_keys(file):
    path = file("anchors: [a, b]\ntrain:\n  lr: 1e-3\n  clip_norm: null\nspace: {stages: [1], pairs: all}\n")
    assert read("--config", path) == RunConfig(
        anchors=["a", "b"], train=TrainOptions(lr=1e-3), space=SpaceOptions(stages=(1,), pairs="all")
    )


def test_sections_lie_in_sections(file):
    mixture = SamplerOptions(kind="mixture", weights={"uniform": 1.0, "front": 3.0}, per_rank=True)
    text = "train: {lr: 0.5, sampler: {kind: mixture, weights: {uniform: 1, front: 3}, per_rank: true}}"
    words = ["--train.sampler.kind", "mixture", "--train.sampler.weights", "{uniform: 1, front: 3}"]
    assert read("--config", file(text)).train == TrainOptions(lr=0.5, sampler=mixture)
    assert read(*words, "--train.sampler.per_rank", "true").train == TrainOptions(sampler=mixture)
    got = read("--config", file(text), "--train.sampler.kind", "balanced", "--train.sampler.gap", "1e9")
    assert got.train.sampler == replace(mixture, kind="balanced", gap=1e9)


def test_the_command_line_beats_the_file(file):
    path = file({"seed": 1, "train": {"lr": 0.5, "epochs": 7}})
    got = read("--config", path, "--train.lr", "0.25", "--seed", "2")
    assert (got.seed, got.train.lr, got.train.epochs) == (2, 0.25, 7)


@pytest.mark.parametrize(
    ("word", "value"), [("False", False), ("false", False), ("True", True), ("true", True)]
)
def test_truth_values_are_read_as_such(file, word, value):
    assert read("--data.memory", word).data.memory is value
    assert read("--config", file(f"data: {{memory: {word}}}")).data.memory is value


def test_a_run_s_own_configuration_reads_back(tmp_path):
    config = RunConfig(
        anchors=["a", "b=c@d.safetensors"],
        space=SpaceOptions(stages=(0, 1), joints=3, direction="both"),
        prune=["dearer"],
        data=DataConfig(train="x y", val="digits:val", workers=2, memory=True),
        fit=FitConfig(ridge=1e-8, images=7),
        train=TrainOptions(
            lr=1e-5,
            layer_lr=3e-3,
            clip_norm=1.0,
            autocast="bfloat16",
            sampler=SamplerOptions(kind="mixture", weights={"front": 1.0, "uniform": 0.5}, near=0.2),
        ),
        sweep=SweepConfig(images=3, stitches=5),
        seed=11,
    )
    for each in (config, RunConfig(anchors="a,b")):
        folder = RunFolder(tmp_path)
        folder.write_config(each)
        assert read("--config", folder.config_file) == each


# What is not


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--rum", "x"], "Unknown argument '--rum'. Nearest: --run"),
        (["--run", "x", "--train.epoch", "3"], "Unknown argument '--train.epoch'. Nearest: --train.epochs"),
        (["--run", "x", "--train.epoch=3"], "Unknown argument '--train.epoch'. Nearest: --train.epochs"),
        (["--run", "x", "--see", "3"], "Unknown argument '--see'. Nearest: --seed"),
        (["--run", "x", "more"], "Unknown argument 'more'."),
        (["--run"], "argument --run: expected one argument."),
        ([], "the following arguments are required: --run."),
        (["--run", "x", "--train.epochs", "two"], 'Key "train.epochs": expected int. Got value: two.'),
        (["--run", "x", "--train.epochs", "0"], "train.epochs must be at least 1; got 0."),
        (["--run", "x", "--train.ema", "nan"], 'Key "train.ema": expected float or null. Got value: nan.'),
        (
            ["--run", "x", "--fit.ridge", "much"],
            "Key \"fit.ridge\": expected float or one of ['auto']. Got value: much.",
        ),
        (
            ["--run", "x", "--train", "recipes/shrt.yaml"],
            "Key \"train\": there is no file 'recipes/shrt.yaml'. Give that of a YAML file with keys of",
        ),
        (["--run", "x", "--fit.images", "0"], "Got fit.images 0"),
        (["--run", "x", "--sweep.images", "0"], "sweep.images must be at least 1; got 0."),
        (["--run", "x", "--data.memory", "maybe"], 'Key "data.memory": expected bool. Got value: maybe.'),
        (["--run", "x", "--train.optimizer", "adam"], "expected one of ['adamw', 'sgd']. Got value: adam."),
        (["--run", "x", "--train.sampler.gapp", "3"], "Nearest: --train.sampler.gap"),
        (["--run", "x", "--train.sampler.random", "-1"], "train.sampler.random must be at least 0; got -1."),
        (
            ["--run", "x", "--train.sampler.kind", "mix"],
            "expected one of ['uniform', 'rounds', 'balanced', 'sandwich'",
        ),
        (["--run", "x", "--prune", "[deepr]"], "expected one of ['deeper', 'dearer', 'equal']"),
        (["--run", "x", "--config", "nowhere.yaml"], "nowhere.yaml'."),
    ],
)
def test_mistakes_on_the_command_line(refused, words, line):
    assert line in refused("fit", *words)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("anchrs: [a, b]", "Unknown argument 'anchrs'. Nearest: anchors"),
        ("train: {epoch: 3}", "Unknown key 'train.epoch'. Nearest: train.epochs"),
        ("train: {sampler: {knd: uniform}}", "Unknown key 'train.sampler.knd'. Nearest: train.sampler.kind"),
        ("train: {sampler: 5}", "'train.sampler' holds keys of its own, such as train.sampler.…; got 5."),
        ("sweep: {image: 3}", "Unknown key 'sweep.image'. Nearest: sweep.images"),
        ("train: {epochs: two}", 'Key "train.epochs": expected int. Got value: two.'),
        ("train: 5", "'train' holds keys of its own, such as train.…; got 5."),
        ("seed: [1]", 'Key "seed": expected int. Got value: [1].'),
        ("train: {epochs: 0}", "train.epochs must be at least 1; got 0."),
        ("train: {optimizer: adam}", "expected one of ['adamw', 'sgd']. Got value: adam."),
        ("prune: [deepr]", "expected one of ['deeper', 'dearer', 'equal']"),
        ("a: [1, 2\nb: {", "Problems parsing config"),
        ("- 1\n- 2", "A configuration file holds keys and values, such as 'seed: 1'; got - 1 - 2."),
        ("hello", "A configuration file holds keys and values, such as 'seed: 1'; got hello."),
        ("", "A configuration file holds keys and values, such as 'seed: 1'; got nothing."),
        (b"\x80\x81", "The configuration is no text"),
        ("seed: !!python/object/apply:os.getcwd []", "python/object"),
    ],
    ids=str,
)
def test_mistakes_in_a_file(refused, file, tmp_path, text, line):
    path = file(text)
    assert line in refused("fit", "--run", tmp_path / "run", "--config", path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_no_file(refused, tmp_path):
    assert "is not a file" in refused("fit", "--run", "x", "--config", tmp_path)


# Commands on a run


def read_with_run(folder, *words):
    parser = command_parser("train", "For the tests.")
    parser.add_argument("run", type=str)
    add_sections(parser, "data", "train")
    return parse_with_run(parser, [str(folder), *words])


def test_a_run_gives_the_defaults_and_the_command_line_beats_them(tmp_path):
    config = RunConfig(
        anchors=["a", "b"],
        data=DataConfig(train="here"),
        train=TrainOptions(
            epochs=7, lr=0.5, sampler=SamplerOptions(kind="mixture", weights={"front": 2.0, "uniform": 1.0})
        ),
        sweep=SweepConfig(images=3),
        seed=4,
        device="cpu",
    )
    RunFolder(tmp_path).write_config(config)
    got = read_with_run(tmp_path)
    assert (got.data, got.train, got.seed, got.device) == (config.data, config.train, 4, "cpu")
    got = read_with_run(tmp_path, "--train.lr", "0.25", "--data.val", "there", "--seed", "5")
    assert got.train == replace(config.train, lr=0.25)
    assert got.data == DataConfig(train="here", val="there")
    assert got.seed == 5
    assert isinstance(got.train, TrainOptions)


def test_a_section_in_a_section_is_read_like_the_others(tmp_path):
    often = CheckpointOptions(every_steps=7, keep=5)
    RunFolder(tmp_path).write_config(RunConfig(train=TrainOptions(epochs=7, checkpoint=often)))
    assert read_with_run(tmp_path).train.checkpoint == often
    got = read_with_run(tmp_path, "--train.checkpoint.keep", "1")
    assert got.train == TrainOptions(epochs=7, checkpoint=replace(often, keep=1))
    with pytest.raises(StitchError, match=r"train\.checkpoint\.keep must be at least 0; got -1"):
        read_with_run(tmp_path, "--train.checkpoint.keep=-1")


@pytest.mark.parametrize("data", [DataConfig(train="-x"), DataConfig(train="a b=c", val="3")])
def test_any_path_survives_the_way_through_a_run(tmp_path, data):
    RunFolder(tmp_path).write_config(RunConfig(data=data))
    assert read_with_run(tmp_path).data == data


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("train: {epochs: two}", 'Key "train.epochs": expected int. Got value: two.'),
        ("train: {epochs: 0}", "train.epochs must be at least 1; got 0."),
        ("train: {optimizer: adam}", "expected one of ['adamw', 'sgd']. Got value: adam."),
        ("seed: x", 'Key "seed": expected int. Got value: x.'),
        ("data: {memory: 3}", 'Key "data.memory": expected bool. Got value: 3.'),
        ("train: 5", "'train' holds keys of its own; got 5."),
        ("train: {sampler: 5}", "'train.sampler' holds keys of its own; got 5."),
        ("train: {sampler: {kind: mix}}", "expected one of ['uniform', 'rounds', 'balanced', 'sandwich'"),
        ("train: {sampler: {kind: mixture}}", "train.sampler.weights must be finite"),
    ],
)
def test_a_run_with_a_broken_configuration_is_refused(file, tmp_path, text, line):
    path = file(text)
    with pytest.raises(StitchError) as error:
        read_with_run(tmp_path)
    assert str(path) in str(error.value)
    assert line in str(error.value)


def test_what_is_missing_is_called_as_it_is_written(refused):
    assert refused("extract", "run").endswith("required: --stitch, --out.")
    assert refused("extract").endswith("required: run, --stitch, --out.")
    assert refused("search", "run").endswith("required: --macs.")


def test_mistakes_on_a_run(refused, tmp_path):
    RunFolder(tmp_path).write_config(RunConfig())
    assert refused("train", tmp_path, "--train.epoch", 3).startswith(
        "Unknown argument '--train.epoch'. Nearest: --train.epochs"
    )
    assert "expected int" in refused("train", tmp_path, "--train.epochs", "two")
    assert "invalid choice: 'traned'" in refused("sweep", tmp_path, "--weights", "traned")
    assert refused("sweep").startswith("the following arguments are required: run")
    assert refused("sweep", tmp_path / "nowhere").endswith("Make one with 'stitchable fit'.")
