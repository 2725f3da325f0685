import sys

import pytest
import torch

from stitchable.anchors.source import CodeSource, TimmSource
from stitchable.errors import StitchError

OWN = """
from torch import nn
from stitchable.anchors.anchor import Anchor
from stitchable.anchors.split import Part, Split, submodule
from stitchable.input_spec import InputSpec

class Net(nn.Sequential):
    pass

def tiny():
    model = Net(nn.Conv2d(3, 4, 4, 4), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(16, 5))
    head = Part(lambda model, x: model[3](model[2](x)), ("2", "3"))
    split = Split(submodule("0"), (submodule("1"),), head, (0,))
    return Anchor(model, split, name="tiny", input_spec=InputSpec((3, 8, 8), (0.5,) * 3, (0.5,) * 3))

def number():
    return 7
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return path


def message(call):
    with pytest.raises(StitchError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


# timm


def test_builds_what_timm_builds():
    model = TimmSource("resnet18", {"num_classes": 3, "layers": [1, 1, 1, 1]}).build()
    assert model.fc.out_features == 3
    assert len(model.layer1) == 1


def test_an_unknown_name_is_offered_the_nearest():
    text = message(TimmSource("deit_tinny_patch16_224").build)
    assert "Unknown model 'deit_tinny_patch16_224'. Nearest: deit_tiny_patch16_224" in text
    assert "path/to/file.py:function" in text


@pytest.mark.parametrize(
    ("model", "arguments", "reason"),
    [
        ("resnet18", {"bogus": 1}, "unexpected keyword argument 'bogus'"),
        ("vit_tiny_patch16_224", {"embed_dim": 50, "num_heads": 3}, "divisible by num_heads"),
        ("resnet18", {"global_pool": "sideways"}, "sideways"),
    ],
)
def test_what_timm_refuses_is_passed_on(model, arguments, reason):
    text = message(TimmSource(model, arguments).build)
    assert f"timm cannot build {model}" in text
    assert reason in text


def test_timm_source_is_plain_data():
    given = TimmSource("resnet18.a1_in1k", {"num_classes": 3}).to_dict()
    assert given == {"kind": "timm", "model": "resnet18.a1_in1k", "arguments": {"num_classes": 3}}


# Files of one's own


def test_a_function_of_an_own_file(own):
    source = CodeSource.read(own, "tiny")
    anchor = source.build()
    assert anchor.source == CodeSource(OWN, "own.py", "tiny")
    assert anchor(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    assert source.to_dict() == {"kind": "code", "file": "own.py", "function": "tiny"}


def test_equal_texts_share_their_classes_and_unequal_ones_do_not(own):
    one, two = CodeSource(OWN, "own.py", "tiny").build(), CodeSource(OWN, "copy.py", "tiny").build()
    other = CodeSource(OWN + "\n# changed\n", "own.py", "tiny").build()
    assert type(one.model) is type(two.model)
    assert type(one.model) is not type(other.model)
    assert type(one.model).__name__ == type(other.model).__name__ == "Net"


def test_no_file(tmp_path):
    text = message(lambda: CodeSource.read(tmp_path / "none.py", "tiny"))
    assert str(tmp_path / "none.py") in text


def test_a_file_that_does_not_run_leaves_no_module_behind():
    before = set(sys.modules)
    for text, reason in (("import nothing_of_this_name", "ModuleNotFoundError"), ("def (", "SyntaxError")):
        assert f"own.py does not run: {reason}" in message(CodeSource(text, "own.py", "tiny").build)
    assert not {name for name in set(sys.modules) - before if name.startswith("stitchable_code")}


def test_a_function_that_is_not_there_is_offered_the_nearest():
    assert "own.py has no function 'tinny'. Nearest: tiny." in message(
        CodeSource(OWN, "own.py", "tinny").build
    )


def test_a_function_that_returns_something_else():
    text = message(CodeSource(OWN, "own.py", "number").build)
    assert text == "own.py:number returned int; it must return an Anchor."
