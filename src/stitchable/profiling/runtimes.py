"""What runs a stitch: plain PyTorch, PyTorch with compiled blocks, or ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, get_args

import torch
from torch import Tensor, nn

from stitchable.compiling import compiled, many_compiled
from stitchable.errors import StitchError, nearest
from stitchable.evaluation.device_cost import Condition, Runtime
from stitchable.network import StitchedNetwork
from stitchable.profiling.rounds import Call
from stitchable.profiling.survey import Survey
from stitchable.space.steps import Step
from stitchable.stitch import Stitch
from stitchable.subnetwork import Subnetwork

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Engine(Protocol):
    """Parts and whole stitches as calls of one runtime."""

    def feature(self, x: Tensor) -> Any:
        """A tensor as the calls take it."""
        ...

    def part(self, step: Step) -> Call:
        """A part, from feature to feature."""
        ...

    def whole(self, stitch: Stitch) -> Call:
        """An extracted stitch, from images to logits."""
        ...


class TorchEngine:
    """The network's own parts, and modules that were extracted from it.

    Args:
        network: In eval mode.
        extracted: The stitches that are measured whole.
    """

    def __init__(self, network: StitchedNetwork, extracted: Mapping[Stitch, Subnetwork]) -> None:
        self._network = network
        self._extracted = extracted

    def feature(self, x: Tensor) -> Tensor:
        """The tensor itself."""
        return x

    def part(self, step: Step) -> Call:
        """A step of the network."""
        return partial(self._network.apply_step, step)

    def whole(self, stitch: Stitch) -> Call:
        """The extracted module."""
        return self._extracted[stitch]


def check_condition(condition: Condition) -> None:
    """Make sure that a condition can be measured at all, before anything is loaded.

    Raises:
        StitchError: An unknown word, a number below 1, a runtime that is not installed or does not do this.
    """
    if condition.runtime not in get_args(Runtime):
        raise StitchError(
            f"Unknown runtime {condition.runtime!r}. {nearest(condition.runtime, get_args(Runtime))}"
        )
    if condition.dtype not in DTYPES:
        raise StitchError(f"Unknown dtype {condition.dtype!r}. {nearest(condition.dtype, DTYPES)}")
    for name in ("batch", "threads"):
        if getattr(condition, name) < 1:
            raise StitchError(f"--{name} {getattr(condition, name)} is not positive. Give 1 or more.")
    if condition.runtime == "onnxruntime":
        from stitchable.profiling.onnx import require_onnx

        require_onnx()
        if (condition.device, condition.dtype) != ("cpu", "float32"):
            raise StitchError(
                f"ONNX Runtime is measured in float32 on the CPU; got {condition.dtype} on "
                f"{condition.device}. "
                "Give --dtype float32 --device cpu, or another --runtime."
            )


@contextmanager
def engine(
    network: StitchedNetwork, condition: Condition, survey: Survey, stitches: Sequence[Stitch]
) -> Iterator[Engine]:
    """The runtime of a condition; afterwards the network runs as before.

    Args:
        network: On the device and of the dtype of the condition.
        condition: Which runtime, how many images and threads.
        survey: Says which parts are equal.
        stitches: Those that are to be measured whole.

    Raises:
        StitchError: There is no compiler, or a part does not export.
    """
    extracted = {stitch: network.extract(stitch) for stitch in stitches}
    if condition.runtime == "onnxruntime":
        from stitchable.profiling.onnx import OnnxEngine

        yield OnnxEngine(network, extracted, survey, batch=condition.batch, threads=condition.threads)
        return
    plain = TorchEngine(network, extracted)
    if condition.runtime == "eager":
        yield plain
        return
    holders: list[StitchedNetwork | Subnetwork] = [network, *extracted.values()]
    modules = [module for each in holders for module in _part_modules(each)]
    torch.compiler.reset()  # what was compiled before may be for another number of threads
    with many_compiled(torch.device(condition.device), asked_by="--runtime compiled"), compiled(modules):
        yield plain


def _part_modules(network: StitchedNetwork | Subnetwork) -> Iterable[nn.Module]:
    """The modules that stems, blocks, heads and stitching layers call."""
    yield from network.layers.values()
    for anchor in network.anchors.values():
        found = dict(anchor.model.named_modules())
        parts = anchor.parts(range(anchor.depth), stem=True, head=True)
        for name in dict.fromkeys(name for part in parts for name in part.uses):
            if name in found and not isinstance(found[name], nn.Identity):
                yield found[name]
