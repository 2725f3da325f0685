"""``stitchable pick`` and ``stitchable menu`` on a run whose files are written by hand."""

import json
import subprocess
import sys

import numpy as np
import pytest

from stitchable.evaluation.curve import CurveRow, write_curve
from stitchable.evaluation.device_cost import Condition, DeviceCost, DeviceCosts, write_device_costs
from stitchable.evaluation.outcomes import Outcomes, write_outcomes
from stitchable.evaluation.paired import difference_interval
from stitchable.evaluation.statistics import wilson_interval
from stitchable.menu.menu_file import read_menu
from stitchable.runs.folder import RunFolder
from stitchable.units import format_points

IMAGES = 1000
RIGHT = {"small": 700, "small[0:3]+big[4:9]": 780, "small[0:2]+big[3:9]": 785, "big": 850}
NAMES = tuple(name if "+" in name else f"{name}[0:9]" for name in RIGHT)
MEASURED = [Condition(batch=1), Condition(batch=8), Condition(batch=8, runtime="compiled")]


def rows():
    for index, (name, right) in enumerate(RIGHT.items()):
        anchor = None if "+" in name else name
        low, high = wilson_interval(right, IMAGES)
        macs, top1 = 10**6 * (index + 1), 100 * right / IMAGES
        yield CurveRow(index, NAMES[index], macs, 2 * macs, top1, low, high, 0.5, IMAGES, True, anchor)


@pytest.fixture
def folder(tmp_path):
    """A run with a curve and nothing else."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.config_file.write_text("seed: 0\n")
    write_curve(folder.curve_fitted, rows())
    return folder


@pytest.fixture
def profiled(folder):
    """The same with the answers, of which each stitch has all that a worse one has, and a profile."""
    labels = np.zeros(IMAGES, dtype=np.int32)
    predicted = np.ones((len(RIGHT), IMAGES), dtype=np.int32)
    for at, right in enumerate(RIGHT.values()):
        predicted[at, :right] = 0
    confidence = np.ones(predicted.shape, dtype=np.float32)
    write_outcomes(folder.outcomes_fitted, Outcomes(NAMES, labels, predicted, confidence))
    profile = []
    for number, condition in enumerate(MEASURED, start=1):
        costs = {
            name: DeviceCost(2.0 * number + at, 4.0 * number + at, 10**6 * number * (10 + at))
            for at, name in enumerate(NAMES)
        }
        profile.append(DeviceCosts(condition, costs, error=0.05))
    write_device_costs(folder.profile, profile)
    return folder


def paired_ends(first, second):
    low, high = (format_points(end) for end in difference_interval(first, second, IMAGES))
    return f"{low} to {high}"


def test_a_pick_in_words(run, profiled):
    lines = run("pick", profiled.path, "--latency", "4.5ms", "--batch", 1, "--memory", "12.5MB").splitlines()
    assert lines == [
        "small[0:2]+big[3:9]: 78.50 % top-1 (75.85 to 80.93) on 1,000 images",
        "4.00 ms of 4.50 ms, 500.0 µs to spare",
        "12.0 MB of 12.5 MB, 500.0 kB to spare",
        "more accurate: big[0:9], 85.00 % at 5.00 ms and 13.0 MB",
        "next cheaper on the front: small[0:3]+big[4:9], 78.00 % at 11.0 MB; against it +0.50 points, "
        f"not sure ({paired_ends(5, 0)}, p = 0.062, the same 1,000 images)",  # 2 / 2⁵
        "next dearer on the front: big[0:9], 85.00 % at 13.0 MB; against it −6.50 points, surely worse "
        f"({paired_ends(0, 65)}, p = 5.4e-20, the same 1,000 images)",  # 2 / 2⁶⁵
        "p50 latency 4.00 ms, memory 12.0 MB on cpu, eager, float32, batch 1, 1 thread; predictions are "
        "5.0 % off on the median",
    ]


def test_a_pick_as_json_says_which_condition_and_which_else(run, profiled):
    words = ["pick", profiled.path, "--top1", 78, "--batch", 8, "--percentile", "p95", "--format", "json"]
    found = json.loads(run(*words))
    assert (found["stitch"], found["objective"], found["target"]) == (
        "small[0:3]+big[4:9]",
        "latency",
        {"least": 78.0, "sure": False},
    )
    assert found["costs"]["latency_ms"] == 9.0
    assert (found["condition"]["batch"], found["condition"]["runtime"]) == (8, "eager")
    assert [each["runtime"] for each in found["also_measured"]] == ["compiled"]
    assert found["neighbours"]["dearer"]["comparison"]["basis"] == "paired"
    also = run(*words[:-2]).splitlines()[-1]
    assert also == "also measured: cpu, compiled, float32, batch 8, 1 thread"


def test_a_top1_alone_is_bought_with_macs(run, folder):
    assert run("pick", folder.path, "--top1", 75.9).startswith("small[0:3]+big[4:9]: 78.00 %")
    assert run("pick", folder.path, "--top1", 75.9, "--sure").startswith("big[0:9]: 85.00 %")


def test_cheapest_of_what_fits(run, profiled):
    words = ["pick", profiled.path, "--macs", "4M", "--top1", 78]
    assert run(*words).startswith("big[0:9]")
    assert run(*words, "--cheapest", "params").startswith("small[0:3]+big[4:9]")


def test_conditions_that_are_not_there(refused, folder, profiled):
    line = refused("pick", folder.path, "--latency", "8ms", "--batch", 4, "--runtime", "compiled")
    command = f"stitchable profile {folder.path} --batch 4 --runtime compiled"
    assert "holds no cost for batch 4, runtime compiled. Measured: cpu, eager, float32, batch 1" in line
    assert line.endswith(f"Measure it with '{command}'.")
    folder.profile.unlink()
    line = refused("pick", folder.path, "--memory", "8MB", "--batch", 4, "--runtime", "compiled")
    assert line == f"{folder.path} has no profile of latency and memory yet. Measure it with '{command}'."
    assert "has no profile" in refused("menu", folder.path, "--axis", "latency")
    assert "has no profile" in refused("pick", folder.path, "--top1", 70, "--cheapest", "memory")
    folder.profile.write_text("[1]")
    assert "is no profile" in refused("pick", folder.path, "--latency", "8ms")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--latency", "8"], "'8' is not a time. Write a number that is not negative with its unit"),
        (["--memory", "much"], "'much' is not a size"),
        (["--params", "-1"], "'-1' is not a count"),
        (["--top1", "0.92"], "A top-1 of 0.92 is no target. Give percent, such as 92."),
        (["--top1", "good"], "top1"),
        (["--macs", "1G", "--sure"], "Give --top1 as well"),
        (["--macs", "1G", "--cheapest", "time"], "cheapest"),
        (["--macs", "1G", "--runtime", "jax"], "runtime"),
        (["--top1", "99"], "The nearest that can be met is 85.00 % top-1 (85), by big[0:9]."),
        (["--latency", "1ms"], "The smallest budget that can be met is 2.00 ms (2ms), by small[0:9]."),
        ([], "Give --latency, --memory, --macs, --params or --top1."),
        (["--lateny", "8ms"], "Nearest: --latency"),
    ],
)
def test_what_pick_refuses(refused, profiled, words, message):
    assert message in refused("pick", profiled.path, *words)


def test_a_menu_in_words_and_as_a_file(run, profiled, tmp_path):
    out = tmp_path / "menu.yaml"
    lines = run("menu", profiled.path, "--size", 4, "--out", out).splitlines()
    assert lines[0].split() == ["stitch", "cost", "top-1", "gain"]
    assert [line.split()[0] for line in lines[1:4]] == ["small[0:9]", "small[0:3]+big[4:9]", "big[0:9]"]
    assert lines[4] == "3 of 4 stitches, 4 of which lie on the front of top-1 against macs, on 1,000 images"
    assert "McNemar's test on the same images, 95 % each" in lines[5]
    assert lines[6].startswith("from 1.00 MMACs up a budget loses at most 0.50 points")
    assert lines[-1] == f"menu     {out}"
    menu = read_menu(out)
    assert [each.stitch for each in menu.entries] == [NAMES[0], NAMES[1], NAMES[3]]
    assert json.loads(run("menu", profiled.path, "--size", 4, "--format", "json")) == menu.to_dict()


def test_a_menu_by_latency(run, profiled):
    text = run("menu", profiled.path, "--axis", "latency", "--batch", 8, "--percentile", "p95")
    assert "p95 latency on cpu, eager, float32, batch 8, 1 thread" in text
    assert text.splitlines()[-1] == "also measured: cpu, compiled, float32, batch 8, 1 thread"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "0"], "A menu of 0 entries"),
        (["--size", "1", "--keep_anchors"], "Give 2 or more"),
        (["--size", "few"], "size"),
        (["--axis", "flops"], "axis"),
        (["--confidence", "95"], "confidence is 95"),
        (["--gap", "0.5"], "is below 1"),
        (["--top1", "99"], "No stitch reaches 99 % top-1"),
        (["--out", "menu.txt"], "neither YAML nor JSON"),
    ],
)
def test_what_menu_refuses(refused, profiled, words, message):
    assert message in refused("menu", profiled.path, *words)


def test_choosing_loads_no_torch(profiled):
    code = (
        "import sys; from stitchable.cli.main import main; "
        "main(['pick', sys.argv[1], '--latency', '5ms']); main(['menu', sys.argv[1]]); "
        "sys.exit(1 if {'torch', 'timm', 'matplotlib'} & sys.modules.keys() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, profiled.path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
