"""Least-squares statistics of all stitching layers at once, sharing what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.initialization.least_squares import AffineMap, LeastSquares
from stitchable.layers.adapters import rows_on
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace

Cut = tuple[str, int]
"""An anchor's name and the number of one of its cuts; cut ``i`` lies before block ``i``."""

ROWS_AT_ONCE = 1024
"""Rows that are turned to float64 and multiplied together; bounds the extra memory of an update."""


class View(NamedTuple):
    """The feature at a cut in the geometry of a least-squares problem: the end anchor's grid.

    Attributes:
        anchor: The anchor's name.
        cut: The number of the cut.
        grid: Rows and columns that the feature's grid is resampled to.
        prefix: Prefix tokens that take part: those that front and end both have.
    """

    anchor: str
    cut: int
    grid: tuple[int, int]
    prefix: int


Pair = tuple[View, View]


class Product(NamedTuple):
    """A set of pairs that one matrix product serves: every front with every end.

    Attributes:
        fronts: Features that are added up on the left.
        ends: Features that are added up on the right.
    """

    fronts: tuple[View, ...]
    ends: tuple[View, ...]


def view_pair(space: StitchingSpace, joint: Joint) -> Pair:
    """What ``joint`` reads and what it is to give, with one row per position that both have."""
    front, end = space.features(joint)
    kept = min(front.prefix_tokens, end.prefix_tokens)
    return View(joint.front, joint.leave, end.grid, kept), View(joint.end, joint.enter, end.grid, kept)


def products(pairs: Sequence[Pair]) -> tuple[Product, ...]:
    """Cover the pairs that share a layer with few products, each pair once.

    (X₁ + X₂)ᵀ(Y₁ + Y₂) is the sum of four cross products at the price of one. Ends that follow the same
    fronts go together, so a window of any width costs at most two products.

    Example:
        >>> window = [(1, 2), (2, 1), (2, 2)]
        >>> pairs = [(View("a", j, (8, 8), 0), View("b", k, (8, 8), 0)) for j, k in window]
        >>> for product in products(pairs):
        ...     print([front.cut for front in product.fronts], [end.cut for end in product.ends])
        [1, 2] [2]
        [2] [1]
    """
    fronts: dict[View, list[View]] = {}
    for front, end in pairs:
        fronts.setdefault(end, []).append(front)
    ends: dict[tuple[View, ...], list[View]] = {}
    for end, before in fronts.items():
        ends.setdefault(tuple(sorted(before)), []).append(end)
    return tuple(Product(before, tuple(after)) for before, after in ends.items())


class LayerStatistics:
    """Sufficient statistics of the least-squares problems of all stitching layers, in float64.

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

    def layer(self, layer: str) -> LeastSquares:
        """Statistics of one layer over all pairs that share it, about their common means."""
        cross = self._cross[layer]
        total = LeastSquares(*cross.shape, device=cross.device)
        pairs = self.pairs[layer]
        total.rows = sum(self._rows[front] for front, _ in pairs)
        if total.rows == 0:
            return total
        # With the shifts s and t, means x and y of a pair, and common means X and Y, its part of the sum of
        # (x_i - X)(y_i - Y)' is that of (x_i - s)(y_i - t)' less n (x - s)(y - t)' plus n (x - X)(y - Y)'.
        for front, end in pairs:
            total.x_mean += self._mean(front) * (self._rows[front] / total.rows)
            total.y_mean += self._mean(end) * (self._rows[front] / total.rows)
        total.cross += cross
        for front, end in pairs:
            n = self._rows[front]
            x_off, y_off = self._sum[front] / n, self._sum[end] / n
            x_step, y_step = self._mean(front) - total.x_mean, self._mean(end) - total.y_mean
            total.cross += n * (torch.outer(x_step, y_step) - torch.outer(x_off, y_off))
            gram = self._gram[front].triu() + self._gram[front].triu(1).T
            total.scatter += gram + n * (torch.outer(x_step, x_step) - torch.outer(x_off, x_off))
            square = self._gram[end].diagonal() if end in self._gram else self._square[end]
            total.y_scatter += square + n * (y_step.square() - y_off.square())
        return total

    def prefix(self, layer: str) -> Tensor | None:
        """Prefix tokens for a layer whose front lacks them: the constants that fit best, so the means.

        Returns:
            ``(missing, end width)``, float64, averaged over images and over the pairs that share the layer;
            ``None`` if nothing is missing.
        """
        found = [self._prefix[end] for _, end in self.pairs[layer] if end in self._prefix]
        return torch.stack(found).mean(0) / self._images if found else None

    def _mean(self, view: View) -> Tensor:
        return self._shift[view] + self._sum[view] / self._rows[view]

    def solve(self, *, ridge: float = 0.0, match_variance: bool = False) -> dict[str, AffineMap]:
        """Solution of every layer, in the space's order, jointly for the pairs that share it.

        Args:
            ridge: See `LeastSquares.solve`.
            match_variance: See `LeastSquares.solve`.

        Raises:
            StitchError: As `LeastSquares.solve`; the layer is named.
        """
        solved = {}
        for layer in self.space.layers:
            try:
                solved[layer] = self.layer(layer).solve(ridge=ridge, match_variance=match_variance)
            except StitchError as error:
                raise StitchError(f"Layer {layer}: {error}") from None
        return solved


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
