"""Sums over the features of all cuts that are joined: they stream, add up, and are shared by the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor

from stitchable.feature import Cut, FeatureSpec
from stitchable.initialization.views import View, products, view_pair
from stitchable.layers.adapters import rows_on
from stitchable.ranks import Ranks
from stitchable.space.space import StitchingSpace

ROWS_AT_ONCE = 1024
"""Rows that are turned to float64 and multiplied together; bounds the extra memory of an update."""

Sums = TypeVar("Sums", bound="FeatureSums")


class FeatureSums:
    """Sums from which the least-squares problems of all stitching layers follow, in float64.

    They are sums over rows, so they stream: memory does not depend on the number of images. One Gram
    matrix serves all layers that leave the same cut, and pairs that share a layer share products.

    Args:
        space: Its layers are to be solved.
        device: Where the sums are kept; the features come from there too.
    """

    def __init__(self, space: StitchingSpace, *, device: torch.device | str = "cpu") -> None:
        self.space = space
        self.pairs = {
            layer: [view_pair(space, joint) for joint in joints] for layer, joints in space.layers.items()
        }
        self.products = {layer: products(pairs) for layer, pairs in self.pairs.items()}
        fronts = {front for pairs in self.pairs.values() for front, _ in pairs}
        ends = {end for pairs in self.pairs.values() for _, end in pairs}
        self.views = tuple(sorted(fronts | ends))
        self.cuts: tuple[Cut, ...] = tuple(sorted({(view.anchor, view.cut) for view in self.views}))

        def spec(view: View) -> FeatureSpec:
            return space.outlines[view.anchor].features[view.cut]

        def width(view: View) -> int:
            return spec(view).width

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        # All sums are of features minus a fixed shift, the mean of the first rows: unlike raw sums they
        # lose no digits where means are large, and they still add up.
        self._shift: dict[View, Tensor] = {}
        self._rows = dict.fromkeys(self.views, 0)
        self._sum = {view: zeros(width(view)) for view in self.views}
        self._gram = {view: zeros(width(view), width(view)) for view in sorted(fronts)}  # upper triangles
        # The squares of a view that is a front as well are the diagonal of its Gram matrix.
        self._square = {view: zeros(width(view)) for view in sorted(ends - fronts)}
        # Prefix tokens that no front of theirs has: sums over images.
        self._prefix = {
            end: zeros(spec(end).prefix_tokens - end.prefix, width(end))
            for end in sorted(ends)
            if spec(end).prefix_tokens > end.prefix
        }
        self._images = 0
        self._cross = {
            layer: zeros(*(feature.width for feature in space.features(joints[0])))
            for layer, joints in space.layers.items()
        }

    def update(self, features: Mapping[Cut, Tensor]) -> None:
        """Add the features of some images.

        Args:
            features: The feature of every cut in `cuts`, of any floating dtype, shaped as its spec says,
                of the same images in the same order.
        """
        rows = {}
        for view in self.views:
            spec = self.space.outlines[view.anchor].features[view.cut]
            x = features[view.anchor, view.cut]
            rows[view] = rows_on(x, spec, grid=view.grid, prefix=view.prefix)
            if view in self._prefix:
                self._prefix[view] += x[:, view.prefix : spec.prefix_tokens].double().sum(0)
        self._images += len(next(iter(features.values()))) if features else 0
        most = max((len(x) for x in rows.values()), default=0)
        pieces = max(-(-most // ROWS_AT_ONCE), 1)
        split = {view: x.tensor_split(pieces) for view, x in rows.items()}
        if most and not self._shift:
            self._shift = {view: parts[0].double().mean(0) for view, parts in split.items()}
        for number in range(pieces if most else 0):
            # To float64 first: a difference of mixed types is many times slower than two passes.
            self._add({view: parts[number].double() - self._shift[view] for view, parts in split.items()})

    def _add(self, rows: Mapping[View, Tensor]) -> None:
        for view, x in rows.items():
            self._rows[view] += len(x)
            self._sum[view] += x.sum(0)
        for view, gram in self._gram.items():
            _add_upper(gram, rows[view])
        for view, square in self._square.items():
            square += torch.linalg.vecdot(rows[view], rows[view], dim=0)
        for layer, cross in self._cross.items():
            for product in self.products[layer]:
                cross.addmm_(_total(product.fronts, rows).T, _total(product.ends, rows))

    def add(self: Sums, other: Sums) -> None:
        """Take in the rows that another one has seen, of the same space; it stays as it is."""
        if not self._shift:
            self._centre_on(other._shift)
        moved = other.copy()
        moved._centre_on(self._shift)
        for ours, theirs in zip(self._sums(), moved._sums(), strict=True):
            for key, total in theirs.items():
                ours[key] += total
        self._images += other._images
        self._rows = {view: rows + other._rows[view] for view, rows in self._rows.items()}

    def copy(self: Sums) -> Sums:
        """The same sums, of which each goes its own way."""
        return deepcopy(self, {id(self.space): self.space})

    def merged(self: Sums, ranks: Ranks) -> Sums:
        """The sums of all processes, the same bits in each, while each can go on with its own.

        Args:
            ranks: All of them call this; of one alone these are its own sums and no copy.
        """
        if ranks.count == 1:
            return self
        whole = self.copy()
        whole.merge(ranks)
        return whole

    def _sums(self) -> tuple[dict[Any, Tensor], ...]:
        return self._sum, self._gram, self._square, self._prefix, self._cross

    def merge(self, ranks: Ranks) -> None:
        """Make the sums of all processes one, the same bits in each.

        Args:
            ranks: All of them call this, with statistics of the same space; some may have seen no rows.
        """
        if ranks.count == 1:
            return
        shifts = ranks.gather({view: shift.cpu() for view, shift in self._shift.items()})
        self._centre_on(next((shift for shift in shifts if shift), {}))
        for sums in self._sums():
            if sums:  # as one tensor: many small ones take their time on the way
                flat = torch.cat([total.reshape(-1) for total in sums.values()])
                ranks.add(flat)
                for total, summed in zip(
                    sums.values(), torch.split(flat, [each.numel() for each in sums.values()]), strict=True
                ):
                    total.copy_(summed.view_as(total))
        counts = ranks.gather((self._images, self._rows))
        self._images = sum(images for images, _ in counts)
        self._rows = {view: sum(rows[view] for _, rows in counts) for view in self.views}

    def _centre_on(self, shift: Mapping[View, Tensor]) -> None:
        """Turn the sums into those of features minus another shift."""
        before, self._shift = self._shift, {view: new.to(self._sum[view]) for view, new in shift.items()}
        if not before:
            return  # no rows were seen, and every sum is zero
        # Over n rows with the sums X and Y, (x + d)(y + e)' is xy' and besides X e' + d (Y + n e)'.
        step = {view: old - self._shift[view] for view, old in before.items()}
        moved = {view: self._sum[view] + self._rows[view] * step[view] for view in self.views}

        def added(x: View, y: View) -> Tensor:
            return torch.outer(self._sum[x], step[y]) + torch.outer(step[x], moved[y])

        for view, gram in self._gram.items():
            gram += added(view, view)
        for view, square in self._square.items():
            square += added(view, view).diagonal()
        for layer, cross in self._cross.items():
            for front, end in self.pairs[layer]:
                cross += added(front, end)
        self._sum = moved


def _add_upper(gram: Tensor, rows: Tensor) -> None:
    """Add ``rows.T @ rows`` without its lower left quarter, which is the upper right one mirrored."""
    half = len(gram) // 2
    gram[:half].addmm_(rows[:, :half].T, rows)
    gram[half:, half:].addmm_(rows[:, half:].T, rows[:, half:])


def _total(views: Sequence[View], rows: Mapping[View, Tensor]) -> Tensor:
    total = rows[views[0]]
    for view in views[1:]:
        total = total + rows[view]
    return total
