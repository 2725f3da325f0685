import dataclasses
import json
import subprocess
import sys

import pytest

from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLAIN = InputSpec((3, 224, 224), MEAN, STD)


def test_needs_no_torch():
    code = "import sys, stitchable.input_spec; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_comes_back_from_json_as_written():
    assert InputSpec(**json.loads(json.dumps(dataclasses.asdict(PLAIN)))) == PLAIN


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"size": (3, 224, 192)}, "input size 3×224×224 is not 3×224×192"),
        ({"mean": (0.5, 0.5, 0.5)}, "input mean 0.485/0.456/0.406 is not 0.5/0.5/0.5"),
        ({"std": (0.5, 0.5, 0.5)}, "input std 0.229/0.224/0.225 is not 0.5/0.5/0.5"),
    ],
)
def test_mismatch_gives_the_numbers(change, text):
    assert PLAIN.mismatch(dataclasses.replace(PLAIN, **change)) == text


def test_how_a_photo_is_cut_is_no_mismatch():
    assert PLAIN.mismatch(dataclasses.replace(PLAIN, interpolation="bilinear", crop_pct=0.875)) is None


def test_rounding_is_no_mismatch():
    assert PLAIN.mismatch(dataclasses.replace(PLAIN, mean=(0.48500001, 0.456, 0.406))) is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"size": (3, 224)}, "not three positive numbers"),
        ({"size": (3, 0, 224)}, "not three positive numbers"),
        ({"mean": (0.5,)}, "mean has 1 values for 3 channels"),
        ({"std": (0.5, 0.5)}, "std has 2 values for 3 channels"),
        ({"std": (0.5, 0.5, 0.0)}, "std 0.5/0.5/0 is not positive"),
        ({"std": (0.5, 0.5, float("nan"))}, "is not positive"),
        ({"mean": (0.5, 0.5, float("inf"))}, "is not finite"),
        ({"interpolation": "bicubik"}, "Nearest: bicubic"),
        ({"crop_pct": 0.0}, "crop_pct 0.0 is not positive"),
    ],
)
def test_refuses(change, text):
    with pytest.raises(StitchError, match=text):
        dataclasses.replace(PLAIN, **change)
