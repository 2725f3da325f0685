import shutil

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.runs.config import FitConfig, RunConfig, SweepConfig
from stitchable.runs.extract import extract_run
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.subnetwork import Subnetwork


def test_extract_writes_a_module_that_equals_the_network(fitted, tmp_path, noise):
    out = tmp_path / "model"
    made = extract_run(RunFolder(fitted), "small[0:1]+medium[1:3]", out)
    network, back = StitchedNetwork.from_pretrained(fitted / "fitted"), Subnetwork.from_pretrained(out)
    images = noise(3)
    with torch.no_grad():
        expected = network(images, "small[0:1]+medium[1:3]")
        assert torch.equal(back(images), expected)
        assert torch.equal(made(images), expected)


def test_extract_refuses_what_is_not_there_and_what_is_in_use(fitted, tmp_path, contents):
    run, out = RunFolder(fitted), tmp_path / "model"
    for stitch, message in (
        ("small[0:1]+medium[0:2]", "medium has 3 blocks and must run to its last"),
        ("small[0:1]+large[1:3]", "there is no anchor 'large'"),
        ("small[0:3", "does not read"),
    ):
        with pytest.raises(StitchError, match=message):
            extract_run(run, stitch, out)
        assert not out.exists()
    (tmp_path / "file").write_text("mine")
    for used in (fitted, tmp_path / "file"):
        before = contents(tmp_path)
        with pytest.raises(StitchError, match="is not empty"):
            extract_run(run, "small", used)
        assert contents(tmp_path) == before


def test_code_of_a_run_is_not_run_unasked(digit_models, tmp_path, contents, digits, quick):
    file = tmp_path / "own.py"
    file.write_text(
        "from stitchable.anchors.load import load_anchor\n"
        f"def small(): return load_anchor({digit_models[0]!r})\n"
        f"def medium(): return load_anchor({digit_models[1]!r})\n"
    )
    run = RunFolder(tmp_path / "own")
    fit_run(
        run, RunConfig(anchors=[f"{file}:small", f"{file}:medium"], data=digits, fit=FitConfig(images=30))
    )
    assert [path.read_text() for path in (run.fitted / "architectures").iterdir()] == [file.read_text()]
    before = contents(run.path)
    for step in (
        lambda trust: sweep_run(run, data=digits, options=SweepConfig(images=10), trust_code=trust),
        lambda trust: extract_run(run, "small", tmp_path / "model", trust_code=trust),
        lambda trust: train_run(run, data=digits, options=quick, trust_code=trust),
    ):
        with pytest.raises(StitchError, match=r"brings its own architecture file .*--trust_code"):
            step(False)
        assert contents(run.path) == before
        assert not (tmp_path / "model").exists()
        step(True)
        before = contents(run.path)
        shutil.rmtree(tmp_path / "model", ignore_errors=True)


@pytest.mark.parametrize("damage", ["truncated", "missing", "other"])
def test_broken_weights_of_a_run_are_named(fitted, tmp_path, contents, damage, digits, quick):
    weights = fitted / "fitted" / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(b"PK\x03\x04 this is a zip")
    before, run = contents(fitted), RunFolder(fitted)
    for step in (
        lambda: sweep_run(run, data=digits, options=SweepConfig()),
        lambda: train_run(run, data=digits, options=quick),
        lambda: extract_run(run, "small", tmp_path / "model"),
    ):
        with pytest.raises(StitchError, match=r"model\.safetensors"):
            step()
        assert contents(fitted) == before
        assert not (tmp_path / "model").exists()
