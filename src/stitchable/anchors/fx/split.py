"""The split of a model of no known family: traced, cut between its blocks, and turned into parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from stitchable.anchors.copies import on_meta
from stitchable.anchors.fx.cuts import between, choose_cuts
from stitchable.anchors.fx.layout import prefix_tokens, witnessed
from stitchable.anchors.fx.trace import HINT, Shapes, first_line, trace
from stitchable.anchors.fx.units import find_units
from stitchable.anchors.split import Part, Split, submodule
from stitchable.errors import StitchError

Axes = Mapping[tuple[int, ...], set[int]]

# Two images: an axis of one could be the batch or anything.
_BATCH = 2


def split_by_tracing(model: nn.Module, size: tuple[int, int, int]) -> Split:
    """Split a model between its blocks, as its graph allows.

    The parts run on whatever model they are given, by its own modules; nothing is copied into them. What
    is read off is checked like any description by `stitchable.anchors.check.check_anchor`.

    Args:
        model: Any module from an image batch to logits; it is not touched.
        size: Channels, rows and columns of its images.

    Raises:
        StitchError: It does not trace, does something else in training, has no position between blocks at
            which a single tensor lives, or carries features whose layout cannot be told.

    Example:
        >>> convolutions = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 12, 1)
        >>> net = nn.Sequential(*convolutions, nn.ReLU(), nn.Flatten(), nn.Linear(768, 10))
        >>> [part.uses for part in split_by_tracing(net, (3, 32, 32)).blocks]
        [('1',), ('2', '3')]
    """
    name = type(model).__name__
    twin = on_meta(model)
    units = find_units(twin)
    graph = trace(twin, units)
    shapes = Shapes(twin, graph)
    try:
        with torch.no_grad(), witnessed(twin) as axes:
            shapes.run(torch.empty((_BATCH, *size), device="meta"))
    except Exception as error:  # whatever the user's modules may raise
        raise StitchError(
            f"{name} does not run on images of shape {size} ({first_line(error)}). Check its size. {HINT}"
        ) from error
    # A feature whose channel axis nothing shows, or whose axes have one size, is no place for a cut.
    clear = {node: shape for node, shape in shapes.of.items() if len(axes.get(shape, ())) == 1}
    cuts = choose_cuts(twin, graph, units, clear, batch=_BATCH)
    if len(cuts) < 2:
        raise StitchError(
            f"{name} has no block that begins and ends where one map or one token sequence lives. {HINT}"
        )
    try:
        last, prefix = _layout([shapes.of[cut.node] for cut in cuts], axes, size)
    except StitchError as error:
        raise StitchError(f"{name} cannot be split by its graph: {error} {HINT}") from error
    parts = [_part(given, nodes, leaving) for given, nodes, leaving in between(graph, cuts)]
    return Split(
        stem=parts[0],
        blocks=tuple(parts[1:-1]),
        head=parts[-1],
        stages=_stages([_positions(shapes.of[cut.node], last) for cut in cuts]),
        prefix_tokens=prefix,
        channels_last=last,
        by="traced graph",
    )


def _layout(features: Sequence[tuple[int, ...]], axes: Axes, size: tuple[int, int, int]) -> tuple[bool, int]:
    """Whether maps have their channels last, and how many tokens lead; one answer for all cuts."""
    maps = {axis for shape in features if len(shape) == 4 for axis in axes[shape]}
    if len(maps) > 1:
        raise StitchError("some of its maps have their channels first, some last.")
    tokens = [shape for shape in features if len(shape) == 3]
    if any(axes[shape] != {-1} for shape in tokens):
        raise StitchError("it carries sequences whose channels are not the last axis.")
    prefixes = {prefix_tokens(shape[1], (size[1], size[2])) for shape in tokens}
    if len(prefixes) > 1:
        raise StitchError(f"its cuts carry different numbers of prefix tokens, {sorted(prefixes)}.")
    return maps == {-1}, max(prefixes, default=0)


def _positions(shape: tuple[int, ...], last: bool) -> tuple[int, ...]:
    return shape[1:2] if len(shape) == 3 else shape[1:3] if last else shape[2:]


def _stages(grids: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """A new stage begins at a block that changes the grid."""
    stages, stage = [], 0
    for block in range(len(grids) - 1):
        stage += block > 0 and grids[block + 1] != grids[block]
        stages.append(stage)
    return tuple(stages)


def _part(given: fx.Node | None, nodes: Sequence[fx.Node], leaving: fx.Node) -> Part:
    """Part that runs some nodes of a graph by code of its own, on the model that it is called with."""
    calls = [node for node in nodes if node.op != "placeholder"]
    if len(calls) == 1 and calls[0].op == "call_module" and calls[0].args == (given,) and not calls[0].kwargs:
        return submodule(str(calls[0].target))
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    if given is not None:
        copies[given] = graph.placeholder("x")

    def copy_of(node: fx.Node) -> fx.Node:
        if node not in copies:  # a parameter that is also read by an earlier part
            copies[node] = graph.node_copy(node, copy_of)
        return copies[node]

    for node in nodes:
        if node.op != "get_attr":
            copy_of(node)
    graph.output(copy_of(leaving))
    code = graph.python_code(root_module="self")
    names: dict[str, Any] = dict(code.globals)
    exec(compile(code.src, "<part of a traced model>", "exec"), names)
    forward = names["forward"]

    def run(model: nn.Module, x: Tensor) -> Tensor:
        out: Tensor = forward(model, x)
        return out

    read = [str(node.target) for node in graph.nodes if node.op in ("call_module", "get_attr")]
    return Part(run, tuple(dict.fromkeys(name for name in read if name != "training")))
