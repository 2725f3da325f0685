"""What paths have in common: a tree that merges those that begin alike, and the MACs that this saves."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

Key = TypeVar("Key", bound=Hashable)


@dataclass(eq=False)
class PathTree(Generic[Key]):
    """A node of the tree of some paths; the root stands before their first steps. Nodes can be keys.

    Attributes:
        children: What may run next.
        ends: Positions, in the list of paths, of those that end here.
    """

    children: dict[Key, PathTree[Key]] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, paths: Iterable[Sequence[Key]]) -> PathTree[Key]:
        """Merge paths, each a sequence of steps.

        Example:
            >>> sorted(PathTree.of(["abc", "abd", "b"]).steps())
            ['a', 'b', 'b', 'c', 'd']
        """
        root = cls()
        for position, path in enumerate(paths):
            node = root
            for key in path:
                node = node.children.setdefault(key, cls())
            node.ends.append(position)
        return root

    def along(self, path: Iterable[Key]) -> Iterator[PathTree[Key]]:
        """The node of each step of a path that is in the tree."""
        node = self
        for key in path:
            node = node.children[key]
            yield node

    def steps(self) -> Iterator[Key]:
        """Every step that runs, once for each node."""
        for key, child in self.children.items():
            yield key
            yield from child.steps()


class SharedMacs(NamedTuple):
    """Forward MACs of several stitches on one image.

    Attributes:
        run: With every shared prefix counted once.
        alone: The sum over the stitches, each for itself.
    """

    run: int
    alone: int


def shared_macs(space: StitchingSpace, stitches: Iterable[Stitch | str]) -> SharedMacs:
    """Count what `stitchable.paths.run_paths` does to one image, and what separate calls would do."""
    paths = [
        tuple(zip(space.steps(stitch), (part.macs for part in space.parts(stitch)), strict=True))
        for stitch in stitches
    ]
    alone = sum(macs for path in paths for _, macs in path)
    return SharedMacs(sum(macs for _, macs in PathTree.of(paths).steps()), alone)
