"""ONNX Runtime gives PyTorch's numbers, so that what is timed is the same model."""

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.evaluation.device_cost import Condition
from stitchable.profiling import onnx
from stitchable.profiling.runtimes import check_condition, engine
from stitchable.profiling.survey import survey
from stitchable.space.steps import Step

for needed in onnx.NEEDED:
    pytest.importorskip(needed)


@torch.no_grad()
def test_parts_and_stitches_give_what_torch_gives(vit_network):
    x = torch.randn(2, *vit_network.input_spec.size)
    stitch = vit_network.space.stitch("small[0:2]+large[1:3]")
    steps = [Step("stem", "small"), Step("layer", vit_network.space.path(stitch)[0].layer)]
    condition = Condition(runtime="onnxruntime", batch=2)
    with engine(vit_network, condition, survey(vit_network, x), [stitch]) as made:
        whole = made.whole(stitch)
        parts = [made.part(step) for step in steps]
        assert made.part(steps[0]) is parts[0]
        logits = torch.from_numpy(whole(made.feature(x)).numpy())
        ours, theirs = x, made.feature(x)
        for step, part in zip(steps, parts, strict=True):
            ours, theirs = vit_network.apply_step(step, ours), part(theirs)
            torch.testing.assert_close(torch.from_numpy(theirs.numpy()), ours, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, vit_network(x, stitch), rtol=1e-4, atol=1e-4)


def test_what_it_does_not_do_is_refused(monkeypatch):
    with pytest.raises(StitchError, match=r"float32 on the CPU; got bfloat16 on cpu"):
        check_condition(Condition(runtime="onnxruntime", dtype="bfloat16"))
    monkeypatch.setattr(onnx, "NEEDED", ("onnx", "surely_not_there"))
    with pytest.raises(
        StitchError, match=r"needs surely_not_there. Install .*pip install 'stitchable\[onnx\]'"
    ):
        check_condition(Condition(runtime="onnxruntime"))
