import json

import pytest
import yaml

from stitchable.runs.folder import RunFolder


@pytest.fixture
def zoo(digit_models, tmp_path):
    """Writer of a zoo's file."""

    def write(**changes):
        values = {
            "anchors": digit_models,
            "data": {"train": "digits:train", "val": "digits:val"},
            "fit": {"images": 60, "batch_size": 30},
            "train": {"epochs": 1, "batch_size": 500, "augment": "none"},
            "reassembly": {"parts": 3, "images": 60, "top": 2, "probe_images": 40},
            **changes,
        }
        path = tmp_path / "zoo.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


def test_the_words_win_over_the_file_and_training_goes_on(run, zoo, tmp_path):
    folder = RunFolder(tmp_path / "new")
    printed = run(
        *("reassemble", zoo(), "--run", folder.path, "--top", 3, "--params", "40k"),
        *("--score", "similarity", "--reassembly.parts=2", "--reassembly.epsilon", 0.5, "--train"),
    )
    options = json.loads(folder.reassembly.read_text())["options"]
    assert (options["top"], options["params"], options["score"]) == (3, "40k", "similarity")
    assert (options["parts"], options["images"]) == (2, 60)
    assert "parts of set 2" in printed
    assert "parts of set 3" not in printed
    found = json.loads(folder.reassembly.read_text())["candidates"]
    assert len(found) == 2  # two anchors in two parts
    assert all(each["stitch"] in printed for each in found)
    assert "small ▓▓│medium ░" in printed or "small ▓│medium ░░" in printed
    assert "Too few networks" in printed
    assert folder.is_trained
    assert folder.curve.is_file()
    assert folder.report.is_file()
    assert "2 steps in" in printed


def test_json_is_all_that_is_printed(run, zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = json.loads(run("reassemble", zoo(), "--format", "json", "--macs", "1G"))
    assert found == json.loads((tmp_path / "runs/zoo/reassembly.json").read_text())
    assert len(found["candidates"]) == 6


def test_mistakes_are_told_in_a_line(refused, zoo, tmp_path, contents):
    path = zoo()
    before = contents(tmp_path)
    words = ["reassemble", path, "--run", tmp_path / "new"]
    assert "Unknown argument '--reassembly.part'. Nearest: --reassembly.parts" in refused(
        *words, "--reassembly.part=3"
    )
    assert "not a count" in refused(*words, "--macs", "many")
    assert "Nearest: naswot" in refused(*words, "--score", "naswit")
    assert "--train prints" in refused(*words, "--train", "--format", "json")
    assert "No path of the space has at most 5 params" in refused(*words, "--params", 5, "--format", "json")
    assert contents(tmp_path) == before
    for changes, message in (
        ({"reassembly": {"part": 3}}, "Nearest: reassembly.parts"),
        ({"reassemble": {"parts": 3}}, "Nearest: reassembly"),
        ({"space": {"kernel": 3}}, "Unknown argument 'space"),
        ({"anchors": []}, "Got 0 anchors"),
    ):
        line = refused("reassemble", zoo(**changes), "--run", tmp_path / "new")
        assert message in line, line
    assert "nowhere.yaml" in refused("reassemble", tmp_path / "nowhere.yaml")
    assert "zoo" in refused("reassemble")
