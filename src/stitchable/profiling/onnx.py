"""Parts and stitches as sessions of ONNX Runtime (``pip install 'stitchable[onnx]'``)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from stitchable.anchors.anchor import Anchor
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.profiling.rounds import Call
from stitchable.profiling.survey import Survey, part_of
from stitchable.space.steps import Step
from stitchable.stitch import Stitch
from stitchable.subnetwork import Subnetwork

NEEDED = ("onnx", "onnxscript", "onnxruntime")
FARTHEST = 1e-3
"""Largest deviation from PyTorch's logits, as a share of the largest of them."""


def require_onnx() -> None:
    """Make sure that ONNX Runtime and what exports to it are installed.

    Raises:
        StitchError: Something is missing; the message says how to install it.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise StitchError(
            f"--runtime onnxruntime needs {', '.join(missing)}. Install with pip install 'stitchable[onnx]'."
        )


class OnnxEngine:
    """A session for each part, and one for each whole stitch.

    Of parts that do the same work, one is exported and each gets a session of its own from that, so that the
    weights of one do not lie in the caches for the next: they take the right time and give nothing true.

    Args:
        network: In eval mode, float32, on the CPU.
        extracted: The stitches that are measured whole.
        survey: Says which parts are equal.
        batch: Images per call.
        threads: Of each session.
    """

    def __init__(
        self,
        network: StitchedNetwork,
        extracted: Mapping[Stitch, Subnetwork],
        survey: Survey,
        *,
        batch: int,
        threads: int,
    ) -> None:
        self._network = network
        self._extracted = extracted
        self._survey = survey
        self._batch = batch
        self._threads = threads
        self._exported: dict[str, bytes] = {}
        self._sessions: dict[Step, Call] = {}

    def feature(self, x: Tensor) -> Any:
        """A value of ONNX Runtime."""
        return _ort().OrtValue.ortvalue_from_numpy(x.detach().contiguous().numpy())

    def part(self, step: Step) -> Call:
        """A session of a part."""
        step = part_of(step)
        if step not in self._sessions:
            work = self._survey.footprints[step].work
            if work not in self._exported:
                self._exported[work] = export(*_alone(self._network, step, self._batch))
            self._sessions[step] = session(self._exported[work], threads=self._threads)
        return self._sessions[step]

    def whole(self, stitch: Stitch) -> Call:
        """A session of an extracted stitch, exported in one piece.

        Raises:
            StitchError: Its logits are not those of PyTorch.
        """
        sub = self._extracted[stitch]
        generator = torch.Generator().manual_seed(1)
        size = next(iter(sub.anchors.values())).input_spec.size
        x = torch.randn((self._batch, *size), generator=generator)
        call = session(export(sub, x), threads=self._threads)
        with torch.no_grad():
            expected = sub(x)
        far = float((torch.from_numpy(call(self.feature(x)).numpy()) - expected).abs().max())
        if not far <= FARTHEST * max(1.0, float(expected.abs().max())):
            raise StitchError(
                f"{stitch} gives other logits in ONNX Runtime than in PyTorch: they differ by {far:.2g}. "
                "Please report this, and measure with --runtime eager."
            )
        return call


def export(module: nn.Module, x: Tensor) -> bytes:
    """A module as an ONNX model for inputs of this shape.

    Raises:
        StitchError: Torch's exporter cannot do it.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, about its own parts
            program = torch.onnx.export(module.eval(), (x,), dynamo=True, verbose=False)
            if program is None:
                raise RuntimeError("it gives no program")
            return bytes(program.model_proto.SerializeToString())
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise StitchError(
            f"{type(module).__name__} does not export to ONNX ({reason}). Use --runtime eager."
        ) from error


def session(model: bytes, *, threads: int) -> Call:
    """A model as a call from one value of ONNX Runtime to another.

    Args:
        model: What `export` gives.
        threads: For the operators of this session.
    """
    ort = _ort()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    made = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    takes, gives = made.get_inputs()[0].name, [made.get_outputs()[0].name]
    run: Callable[..., Any] = made.run_with_ort_values
    return lambda x: run(gives, {takes: x})[0]


class _Part(nn.Module):
    """A stem, a block or a head, with nothing else held."""

    def __init__(self, anchor: Anchor, step: Step) -> None:
        super().__init__()
        self.anchor, self.step = anchor, step

    def forward(self, x: Tensor) -> Tensor:
        if self.step.kind == "block":
            return self.anchor.run(x, self.step.block, self.step.block + 1)
        return self.anchor.stem(x) if self.step.kind == "stem" else self.anchor.head(x)


def _alone(network: StitchedNetwork, step: Step, batch: int) -> tuple[nn.Module, Tensor]:
    """A part as a module, and something that it takes."""
    if step.kind == "layer":
        layer = network.layers[step.name]
        return layer, torch.randn(layer.front.shape(batch))
    anchor = network.anchors[step.name]
    kinds = {"stem": step.kind == "stem", "head": step.kind == "head"}
    held = anchor.holding([step.block] if step.kind == "block" else [], **kinds)
    if step.kind == "stem":
        return _Part(held, step), torch.randn(batch, *anchor.input_spec.size)
    cut = step.block if step.kind == "block" else anchor.depth
    return _Part(held, step), torch.randn(anchor.features[cut].shape(batch))


def _ort() -> Any:
    import onnxruntime

    return onnxruntime
