"""Walking the tree of some paths on one batch: every step of it runs once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from stitchable.space.tree import PathTree

Key = TypeVar("Key", bound=Hashable)


def leading_to(tree: PathTree[Key], positions: Collection[int]) -> set[PathTree[Key]]:
    """The nodes of a tree that some of its paths pass; the root is not among them."""
    found: set[PathTree[Key]] = set()

    def leads(node: PathTree[Key]) -> bool:
        passed = {child for child in node.children.values() if leads(child)}
        found.update(passed)
        return bool(passed) or any(position in positions for position in node.ends)

    leads(tree)
    return found


@dataclass(frozen=True)
class Together(Generic[Key]):
    """Which steps of different paths may run as one, on their features stacked along the batch axis.

    Attributes:
        images: Images that may run, or wait, at once.
        group: Of a node: equal ones run together; ``None`` runs alone.
        place: Of a node: those of the lowest place run first, so that others can come to wait beside them.
    """

    images: int
    group: Callable[[Key, PathTree[Key]], Hashable | None]
    place: Mapping[PathTree[Key], Any]


class _Waiting(NamedTuple, Generic[Key]):
    key: Key
    node: PathTree[Key]
    x: Tensor


def walk(
    tree: PathTree[Key],
    x: Tensor,
    run: Callable[[Key, PathTree[Key], Tensor], Tensor],
    *,
    only: Collection[PathTree[Key]] | None = None,
    together: Together[Key] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Outputs of all paths of a tree.

    One path after the other, a feature being held as long as a step is left that takes it: those of the
    current path where others leave it. With ``together``, as many as may wait are led to where they can
    run as one; beyond that number again one path after the other.

    Args:
        tree: What to run.
        x: What the first steps take ``(batch, …)``.
        run: Gives what the step of a node makes of what it takes.
        only: The nodes to run, see `leading_to`; all where left out.
        together: See `Together`; nothing runs together where left out, and every feature is then the very
            bits of its path run alone.

    Yields:
        Positions of paths, and their outputs.
    """
    batch = len(x)

    def behind(node: PathTree[Key], y: Tensor) -> list[_Waiting[Key]]:
        children = reversed(node.children.items())
        return [_Waiting(key, child, y) for key, child in children if only is None or child in only]

    waiting = behind(tree, x)
    yield from ((position, x) for position in tree.ends)
    del x
    while waiting:
        ready = [waiting.pop()]
        if together and (len(waiting) + 1) * batch <= together.images:
            waiting += ready
            ready = _take(waiting, together, most=max(1, together.images // batch))
        outputs = _run(ready, run)
        nodes = [each.node for each in ready]
        del ready
        while nodes:
            node, y = nodes.pop(), outputs.pop()
            yield from ((position, y) for position in node.ends)
            waiting += behind(node, y)
        del y


def _take(waiting: list[_Waiting[Key]], together: Together[Key], *, most: int) -> list[_Waiting[Key]]:
    """Take out what is to run next: one of the lowest place, and what may run together with it."""
    first = min(waiting, key=lambda each: together.place[each.node])
    group = together.group(first.key, first.node)
    taken = [first]
    if group is not None:
        others = (each for each in waiting if each is not first)
        taken += [each for each in others if together.group(each.key, each.node) == group][: most - 1]
    chosen = {id(each.node) for each in taken}
    waiting[:] = [each for each in waiting if id(each.node) not in chosen]
    return taken


def _run(ready: list[_Waiting[Key]], run: Callable[[Key, PathTree[Key], Tensor], Tensor]) -> list[Tensor]:
    key, node, x = ready[0]
    if len(ready) == 1:
        return [run(key, node, x)]
    outputs = run(key, node, torch.cat([each.x for each in ready]))
    return list(outputs.chunk(len(ready)))
