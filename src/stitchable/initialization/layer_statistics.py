"""Least-squares statistics of all stitching layers at once, sharing what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.initialization.least_squares import AffineMap, LeastSquares
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace

Cut = tuple[str, int]
"""An anchor's name and the number of one of its cuts; cut ``i`` lies before block ``i``."""

ROWS_AT_ONCE = 1024
"""Rows that are turned to float64 and multiplied together; bounds the extra memory of an update."""


class Product(NamedTuple):
    """A set of pairs that one matrix product serves: every front with every end.

    Attributes:
        fronts: Cuts whose features are added up on the left.
        ends: Cuts whose features are added up on the right.
    """

    fronts: tuple[Cut, ...]
    ends: tuple[Cut, ...]


def products(joints: Sequence[Joint]) -> tuple[Product, ...]:
    """Cover the pairs that share a layer with few products, each pair once.

    (X₁ + X₂)ᵀ(Y₁ + Y₂) is the sum of four cross products at the price of one. Ends that follow the same
    fronts go together, so a window of any width costs at most two products.

    Example:
        >>> window = [(1, 2), (2, 1), (2, 2)]
        >>> for product in products([Joint("a", j, "b", k, "a>b") for j, k in window]):
        ...     print(product.fronts, product.ends)
        (('a', 1), ('a', 2)) (('b', 2),)
        (('a', 2),) (('b', 1),)
    """
    fronts: dict[Cut, list[Cut]] = {}
    for joint in joints:
        fronts.setdefault((joint.end, joint.enter), []).append((joint.front, joint.leave))
    ends: dict[tuple[Cut, ...], list[Cut]] = {}
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
        self.products = {layer: products(joints) for layer, joints in space.layers.items()}
        fronts = {(joint.front, joint.leave) for joint in space.joints}
        ends = {(joint.end, joint.enter) for joint in space.joints}
        self.cuts = tuple(sorted(fronts | ends))

        def width(cut: Cut) -> int:
            return space.outlines[cut[0]].features[cut[1]].width

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        # All sums are of features minus a fixed shift, the mean of the first rows: unlike raw sums they
        # lose no digits where means are large, and they still add up.
        self._shift: dict[Cut, Tensor] = {}
        self._rows = dict.fromkeys(self.cuts, 0)
        self._sum = {cut: zeros(width(cut)) for cut in self.cuts}
        self._gram = {cut: zeros(width(cut), width(cut)) for cut in sorted(fronts)}
        # The squares of a cut that is a front as well are the diagonal of its Gram matrix.
        self._square = {cut: zeros(width(cut)) for cut in sorted(ends - fronts)}
        self._cross = {
            layer: zeros(*(feature.width for feature in space.features(joints[0])))
            for layer, joints in space.layers.items()
        }

    def update(self, features: Mapping[Cut, Tensor]) -> None:
        """Add the features of some images.

        Args:
            features: A matrix ``(rows, width)`` of any floating dtype for every cut in `cuts`, one row
                per token or pixel. The rows of cuts that are paired belong together.
        """
        most = max((len(features[cut]) for cut in self.cuts), default=0)
        pieces = max(-(-most // ROWS_AT_ONCE), 1)
        split = {cut: features[cut].tensor_split(pieces) for cut in self.cuts}
        if most and not self._shift:
            self._shift = {cut: parts[0].double().mean(0) for cut, parts in split.items()}
        for number in range(pieces if most else 0):
            # To float64 first: a difference of mixed types is many times slower than two passes.
            self._add({cut: parts[number].double() - self._shift[cut] for cut, parts in split.items()})

    def _add(self, features: Mapping[Cut, Tensor]) -> None:
        for cut, x in features.items():
            self._rows[cut] += len(x)
            self._sum[cut] += x.sum(0)
        for cut, gram in self._gram.items():
            gram.addmm_(features[cut].T, features[cut])
        for cut, square in self._square.items():
            square += torch.linalg.vecdot(features[cut], features[cut], dim=0)
        for layer, cross in self._cross.items():
            for product in self.products[layer]:
                cross.addmm_(_total(product.fronts, features).T, _total(product.ends, features))

    def layer(self, layer: str) -> LeastSquares:
        """Statistics of one layer over all pairs that share it, about their common means."""
        cross = self._cross[layer]
        total = LeastSquares(*cross.shape, device=cross.device)
        pairs = [((joint.front, joint.leave), (joint.end, joint.enter)) for joint in self.space.layers[layer]]
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
            total.scatter += self._gram[front] + n * (torch.outer(x_step, x_step) - torch.outer(x_off, x_off))
            square = self._gram[end].diagonal() if end in self._gram else self._square[end]
            total.y_scatter += square + n * (y_step.square() - y_off.square())
        return total

    def _mean(self, cut: Cut) -> Tensor:
        return self._shift[cut] + self._sum[cut] / self._rows[cut]

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


def _total(cuts: Sequence[Cut], features: Mapping[Cut, Tensor]) -> Tensor:
    total = features[cuts[0]]
    for cut in cuts[1:]:
        total = total + features[cut]
    return total
