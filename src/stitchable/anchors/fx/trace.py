"""Tracing a model with torch.fx down to its units, without touching it."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import timm.layers
import torch
from torch import fx, nn

from stitchable.anchors.fx.units import Units
from stitchable.errors import StitchError

_TIMM: Any = timm.layers  # these functions of it are not typed
HINT = "Describe it yourself in a few lines: see 'Your own architecture' in the README."


class _Tracer(fx.Tracer):
    """Leaves units whole, reads buffers as attributes, and gives optional arguments their defaults."""

    proxy_buffer_attributes = True

    def __init__(self, units: Units) -> None:
        super().__init__(autowrap_functions=tuple(_TIMM.get_notrace_functions()))
        self._units = units
        self._opaque = tuple(_TIMM.get_notrace_modules())

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            module_qualified_name in self._units.whole
            or isinstance(m, self._opaque)
            or super().is_leaf_module(m, module_qualified_name)
        )

    def create_args_for_root(
        self,
        root_fn: Callable[..., Any],
        is_module: bool,
        concrete_args: dict[str, Any] | tuple[Any, ...] | None = None,
    ) -> tuple[Any, list[Any]]:
        return root_fn, [self.root, self.create_proxy("placeholder", "x", (), {})]


def trace(twin: nn.Module, units: Units) -> fx.Graph:
    """Graph of a model in eval mode that follows the training mode where only a flag depends on it.

    Args:
        twin: A copy of the model, best on the meta device; left in eval mode.
        units: What to leave whole.

    Raises:
        StitchError: The model does not trace, or does something else in training mode.
    """
    evaluated, trained = (_traced(twin, units, training) for training in (False, True))
    twin.eval()
    if len(evaluated.nodes) != len(trained.nodes):
        raise _two_roads(twin)
    pairs = list(zip(evaluated.nodes, trained.nodes, strict=True))
    flags = [node for node, other in pairs if _differs(twin, node, other)]
    for node in flags:
        with evaluated.inserting_before(node):
            # The model's own flag, read at every call: code that was generated once obeys train().
            node.update_kwarg("training", evaluated.create_node("get_attr", "training"))
    for node in evaluated.nodes:
        if node.op == "get_attr" and not _has(twin, str(node.target)):
            raise StitchError(f"{type(twin).__name__} makes a constant tensor in its forward. {HINT}")
    return _returning_logits(twin, evaluated)


def _returning_logits(twin: nn.Module, graph: fx.Graph) -> fx.Graph:
    """The graph with one tensor as its output; of an object of outputs, its ``logits``."""
    (output,) = graph.output_node().args
    if isinstance(output, dict):
        output = output.get("logits")
        graph.output_node().args = (output,)
    if not isinstance(output, fx.Node):
        raise StitchError(f"{type(twin).__name__} does not return logits alone. {HINT}")
    return graph


def _has(model: nn.Module, name: str) -> bool:
    try:
        attrgetter(name)(model)
    except AttributeError:
        return False
    return True


def _traced(twin: nn.Module, units: Units, training: bool) -> fx.Graph:
    twin.train(training)
    before = set(vars(twin))
    try:
        graph = _Tracer(units).trace(twin)
    except Exception as error:  # whatever the user's forward may raise when it is given a proxy
        twin.eval()
        raise StitchError(f"{type(twin).__name__} does not trace ({first_line(error)}). {HINT}") from error
    for name in set(vars(twin)) - before:  # constants that the tracer left on it
        delattr(twin, name)
    return graph


def _differs(twin: nn.Module, node: fx.Node, other: fx.Node) -> bool:
    """Whether two nodes differ in their training flag; raises if they differ in anything else."""
    ours, theirs = dict(node.kwargs), dict(other.kwargs)
    flags = ours.pop("training", None), theirs.pop("training", None)
    same = (node.op, str(node.target), str(node.args), str(ours)) == (
        other.op,
        str(other.target),
        str(other.args),
        str(theirs),
    )
    if not same:
        raise _two_roads(twin)
    if flags == (False, True):
        return True
    if flags[0] is not flags[1]:
        raise _two_roads(twin)
    return False


def _two_roads(twin: nn.Module) -> StitchError:
    return StitchError(
        f"{type(twin).__name__} takes another road in training mode, such as one to auxiliary outputs, which "
        f"a split cannot follow. Build it without them. {HINT}"
    )


def first_line(error: Exception) -> str:
    """First line of an error's message, without its full stop."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


class Shapes(fx.Interpreter):
    """Runs a graph on a twin and keeps the shape of every tensor by the node that made it."""

    def __init__(self, twin: nn.Module, graph: fx.Graph) -> None:
        super().__init__(twin, graph=graph)
        self.of: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        value = super().run_node(n)
        if isinstance(value, torch.Tensor):
            self.of[n] = tuple(value.shape)
        return value
