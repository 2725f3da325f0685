"""``stitchable profile`` from words to what is printed."""

import pytest

from stitchable.evaluation.device_cost import Condition, read_device_costs
from stitchable.runs.folder import RunFolder


def test_what_is_asked_for_is_measured_and_printed(run, measured):
    out = run("profile", measured, "--batch", "1,2", "--seconds", 0, "--check", 1, "--device", "cpu",
              "--threads", "1")  # fmt: skip
    for batch in (1, 2):
        assert f"cpu, eager, float32, batch {batch}, 1 thread\n" in out
    assert out.count("on 1 stitches measured whole") == 2
    assert out.count("rank correlation of MACs and latency") == 2
    kept = read_device_costs(RunFolder(measured).profile)
    assert [each.condition for each in kept] == [Condition(batch=2), Condition(batch=1)]
    assert "Cost on this device" in RunFolder(measured).report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch", "1,many"], "--batch is a list of whole numbers such as 1,16; got '1,many'."),
        (["--runtime", "onnx"], "Unknown runtime 'onnx'. Nearest: onnxruntime."),
        (["--batch", "0"], "--batch 0 is not positive"),
        (["--check", "-1"], "Got --check -1 and --seconds 20; both must be 0 or more"),
        (["--threads", ""], "--threads is a list of whole numbers"),
    ],
)
def test_mistakes(refused, measured, words, message):
    assert message in refused("profile", measured, "--device", "cpu", *words)
    assert not RunFolder(measured).profile.exists()


def test_there_must_be_a_run(refused, tmp_path):
    assert "holds no run" in refused("profile", tmp_path)
