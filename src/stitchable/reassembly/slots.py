"""Which parts may stand at which place of a new network, and which may follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from stitchable.reassembly.parts import ModelPart, Partition
from stitchable.space.outline import Outline

Order = Literal["any", "cnn_first"]
Positions = Literal["own", "sets"]


def is_transformer(outline: Outline) -> bool:
    """Whether an anchor counts as a transformer: a cut of it carries tokens, or maps with channels last.

    That goes by the features and not by a name: Swins and PVTs are transformers, MLP-Mixers count as such;
    ConvNeXts and PoolFormers, whose maps have channels first, are CNNs.
    """
    return any(feature.kind == "tokens" or feature.channels_last for feature in outline.features)


class Slots:
    """The K places of new networks, as a graph whose edges lead from a part to one that may follow.

    Two neighbours of one anchor must be consecutive blocks. What does not lie on a way from the first place
    to the last is left out.

    Args:
        outlines: The anchors by name.
        partition: Their parts.
        order: ``"cnn_first"``: no part of a CNN behind one of a transformer, see `is_transformer`.
        positions: ``"own"``: place k takes the k-th part of any anchor. ``"sets"``: place k takes any part of
            the k-th equivalence set; at the first place such as have a stem, at the last such as have a head.

    Attributes:
        follow: For every place but the last: by part those that may follow.
    """

    def __init__(
        self, outlines: Mapping[str, Outline], partition: Partition, *, order: Order, positions: Positions
    ) -> None:
        late = {name for name, each in outlines.items() if order == "cnn_first" and is_transformer(each)}
        places: list[list[ModelPart]] = [[] for _ in range(partition.count)]
        for number, part in enumerate(partition.parts):
            place = number % partition.count if positions == "own" else partition.sets[part]
            places[place].append(part)
        places[0] = [part for part in places[0] if part.start == 0]
        places[-1] = [part for part in places[-1] if part.stop == outlines[part.anchor].depth]

        def may_follow(part: ModelPart, after: ModelPart) -> bool:
            if part.anchor == after.anchor:
                return part.stop == after.start
            return part.anchor not in late or after.anchor in late

        ahead = set(places[-1])
        self.follow: list[dict[ModelPart, list[ModelPart]]] = []
        for here, there in zip(places[-2::-1], places[:0:-1], strict=True):
            ways = {
                part: [after for after in there if after in ahead and may_follow(part, after)]
                for part in here
            }
            self.follow.insert(0, {part: after for part, after in ways.items() if after})
            ahead = set(self.follow[0])
        met = set(self.follow[0])
        for number, ways in enumerate(self.follow):
            self.follow[number] = {part: after for part, after in ways.items() if part in met}
            met = {each for after in self.follow[number].values() for each in after}

    @property
    def count(self) -> int:
        """Number of ways from the first place to the last."""
        ways: dict[ModelPart, int] = {}
        for place in reversed(self.follow):
            ways = {part: sum(ways.get(each, 1) for each in after) for part, after in place.items()}
        return sum(ways.values())

    def __iter__(self) -> Iterator[tuple[ModelPart, ...]]:
        """All of them, K parts each."""
        for part in self.follow[0]:
            yield from self._extend((part,))

    def _extend(self, parts: tuple[ModelPart, ...]) -> Iterator[tuple[ModelPart, ...]]:
        if len(parts) > len(self.follow):
            yield parts
            return
        for after in self.follow[len(parts) - 1][parts[-1]]:
            yield from self._extend((*parts, after))
