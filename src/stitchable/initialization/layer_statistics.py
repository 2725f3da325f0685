"""Least-squares statistics of all stitching layers at once, sharing what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.initialization.least_squares import AffineMap, LeastSquares
from stitchable.initialization.views import Cut, View, products, view_pair
from stitchable.layers.adapters import rows_on
from stitchable.ranks import Ranks
from stitchable.space.space import StitchingSpace

ROWS_AT_ONCE = 1024
"""Rows that are turned to float64 and multiplied together; bounds the extra memory of an update."""


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

    def merge(self, ranks: Ranks) -> None:
        """Make the sums of all processes one, the same bits in each.

        Args:
            ranks: All of them call this, with statistics of the same space; some may have seen no rows.
        """
        if ranks.count == 1:
            return
        shifts = ranks.gather({view: shift.cpu() for view, shift in self._shift.items()})
        self._centre_on(next((shift for shift in shifts if shift), {}))
        for sums in (self._sum, self._gram, self._square, self._prefix, self._cross):
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
