"""Where a traced graph can be cut: positions between blocks at which one tensor is all that lives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn import functional as F

from stitchable.anchors.fx.units import Units, weights

Shape = tuple[int, ...]

_ACTIVATIONS = ("torch.nn.modules.activation", "torch.nn.modules.dropout", "timm.layers.activations")
_NORMS = ("torch.nn.modules.batchnorm", "torch.nn.modules.normalization")
_ACTIVATION_FUNCTIONS = {torch.relu, F.relu, F.relu6, F.gelu, F.silu, F.hardswish, F.leaky_relu, F.dropout}


@dataclass(frozen=True)
class Cut:
    """A position in a graph.

    Attributes:
        position: Number of nodes before it.
        node: The one node whose value is needed behind it.
    """

    position: int
    node: fx.Node


def single_live(graph: fx.Graph) -> dict[int, fx.Node]:
    """Positions at which exactly one value is needed later, and the node that made it.

    Parameters and buffers do not count: every part reads its own from the model.
    """
    order = {node: index for index, node in enumerate(graph.nodes)}
    last_use = {node: max((order[user] for user in node.users), default=-1) for node in order}
    found: dict[int, fx.Node] = {}
    live: list[fx.Node] = []
    for node, index in order.items():
        live = [each for each in live if last_use[each] > index]
        if node.op != "get_attr" and last_use[node] > index:
            live.append(node)
        if len(live) == 1:
            found[index + 1] = live[0]
    return found


def choose_cuts(
    model: nn.Module, graph: fx.Graph, units: Units, shapes: Mapping[fx.Node, Shape], *, batch: int
) -> list[Cut]:
    """Cuts before the first block, between blocks, and behind the last.

    Blocks are the calls of composite units or, in a plain chain, of layers with a weight. What lies
    between two blocks, such as a down-sampling, belongs to the later one; activations and dropout belong
    to the earlier one, and in a plain chain so do norms. A block that takes the image is part of the stem.

    Args:
        model: The traced model.
        graph: Its graph.
        units: Its units.
        shapes: Shape of every tensor.
        batch: Number of images that the shapes are of.

    Returns:
        The cuts in order; fewer than two if there is no block.
    """
    nodes = list(graph.nodes)
    places = {
        position: Cut(position, node)
        for position, node in single_live(graph).items()
        if node.op != "placeholder" and len(shapes.get(node, ())) in (3, 4) and shapes[node][0] == batch
    }
    calls = [index for index, node in enumerate(nodes) if _called(node) in units.composite]
    found = _around(model, nodes, places, calls, shapes, norms=False)
    if len(found) <= 2:  # at most one block
        calls = [index for index, node in enumerate(nodes) if _has_weight(model, node)]
        found = max(found, _around(model, nodes, places, calls, shapes, norms=True), key=len)
    return found


def _around(
    model: nn.Module,
    nodes: Sequence[fx.Node],
    places: Mapping[int, Cut],
    calls: Sequence[int],
    shapes: Mapping[fx.Node, Shape],
    *,
    norms: bool,
) -> list[Cut]:
    """One cut per gap between calls, where it has a place for one."""
    cuts: list[Cut] = []
    bounds = [0, *(index + 1 for index in calls)]
    for start, stop in zip(bounds, [*calls, len(nodes) - 1], strict=True):
        gap = [places[position] for position in range(start, stop + 1) if position in places]
        if not gap:
            continue
        # In front of the first block the cut is as late as can be: all before it is the stem.
        cuts.append(gap[-1] if not cuts else _behind_activations(model, nodes, gap, shapes, norms=norms))
    return cuts


def _behind_activations(
    model: nn.Module,
    nodes: Sequence[fx.Node],
    gap: Sequence[Cut],
    shapes: Mapping[fx.Node, Shape],
    *,
    norms: bool,
) -> Cut:
    cut = gap[0]
    for later in gap[1:]:
        passed = nodes[cut.position : later.position]
        if shapes[later.node] != shapes[cut.node] or not all(
            _is_light(model, node, norms) for node in passed
        ):
            break
        cut = later
    return cut


def _is_light(model: nn.Module, node: fx.Node, norms: bool) -> bool:
    """Whether a node is an activation, a dropout or (if asked) a norm."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        home = type(module).__module__
        return weights(module) == 0 and home.startswith((*_ACTIVATIONS, *(_NORMS if norms else ())))
    return node.op == "call_function" and node.target in _ACTIVATION_FUNCTIONS


def _called(node: fx.Node) -> str | None:
    return str(node.target) if node.op == "call_module" else None


def _has_weight(model: nn.Module, node: fx.Node) -> bool:
    name = _called(node)
    return name is not None and weights(model.get_submodule(name)) > 0


def between(graph: fx.Graph, cuts: Sequence[Cut]) -> Iterator[tuple[fx.Node | None, list[fx.Node], fx.Node]]:
    """Per part: the node that comes in (none for the stem), the part's own nodes, and the one that leaves."""
    nodes = list(graph.nodes)
    output = nodes[-1].args[0]
    assert isinstance(output, fx.Node)
    start, given = 0, None
    for cut in cuts:
        yield given, nodes[start : cut.position], cut.node
        start, given = cut.position, cut.node
    yield given, nodes[start:-1], output
