import re

import pytest
import yaml

from stitchable.errors import StitchError
from stitchable.runs.config import DataConfig, RunConfig
from stitchable.runs.folder import RunFolder
from stitchable.space.build import SpaceOptions


def written(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("seed: 1\n", encoding="utf-8")
    return RunFolder(folder)


def test_a_new_or_empty_folder_is_free(tmp_path):
    RunFolder(tmp_path / "new" / "run").check_free()
    RunFolder(tmp_path).check_free()
    assert not list(tmp_path.iterdir())


def test_a_file_is_not_free(tmp_path):
    path = tmp_path / "run"
    path.write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(StitchError, match="is a file"):
            RunFolder(path).check_free(overwrite=overwrite)


def test_a_folder_of_something_else_is_never_free(tmp_path):
    run = written(tmp_path, "thesis.txt")
    for overwrite in (False, True):
        with pytest.raises(StitchError, match="is not empty and holds no run"):
            run.check_free(overwrite=overwrite)


def test_a_run_is_free_to_be_replaced_only(tmp_path):
    run = written(tmp_path, "config.yaml")
    with pytest.raises(StitchError, match=r"already holds a run\. .*--overwrite"):
        run.check_free()
    run.check_free(overwrite=True)


def test_a_folder_without_a_configuration_is_no_run(tmp_path):
    with pytest.raises(StitchError, match=re.escape(f"{tmp_path} holds no run")):
        RunFolder(tmp_path).require()
    written(tmp_path, "config.yaml").require()


def test_weights_and_curve_are_those_of_the_latest_network(tmp_path):
    run = written(tmp_path, "config.yaml", "fitted/config.json")
    assert not run.is_trained
    assert (run.weights, run.latest_curve) == (tmp_path / "fitted", tmp_path / "curve_fitted.jsonl")
    written(tmp_path, "network/config.json", "curve_fitted.jsonl")
    assert run.is_trained
    # Not measured yet: the old network's curve is not the new one's.
    assert (run.weights, run.latest_curve) == (tmp_path / "network", tmp_path / "curve.jsonl")


def test_a_configuration_reads_back_as_plain_data(tmp_path):
    run = RunFolder(tmp_path)
    config = RunConfig(
        anchors=["a", "b"],
        space=SpaceOptions(stages=(0, 2)),
        prune=["deeper"],
        data=DataConfig(val="x"),
        seed=7,
    )
    run.write_config(config)
    text = run.config_file.read_text(encoding="utf-8")
    assert "!!" not in text  # no tag that only Python understands
    values = run.read_config()
    assert values == yaml.safe_load(text)
    assert list(values) == [
        "anchors",
        "inputs",
        "space",
        "prune",
        "data",
        "fit",
        "train",
        "track",
        "sweep",
        "seed",
        "device",
    ]
    assert values["space"]["stages"] == [0, 2]
    assert (values["seed"], values["anchors"], values["data"]["val"]) == (7, ["a", "b"], "x")
    run.write_config({**values, "seed": 8})
    assert run.read_config() == {**values, "seed": 8}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a: [1\nb: {", "is not YAML"),
        (b"\x80\x81", "is not YAML"),
        (b"a: !!python/object/apply:os.getcwd []", "is not YAML"),
        (b"- 1", "does not hold a configuration"),
        (b"", "does not hold a configuration"),
    ],
)
def test_a_configuration_that_does_not_read_is_named(tmp_path, text, reason):
    (tmp_path / "config.yaml").write_bytes(text)
    with pytest.raises(StitchError, match=rf"config\.yaml {reason}"):
        RunFolder(tmp_path).read_config()
