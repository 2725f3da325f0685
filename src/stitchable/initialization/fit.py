"""Fitting all stitching layers of a network in one pass over some images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.initialization.least_squares import AffineMap, LeastSquares
from stitchable.layers.stitching import rows
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork

Cut = tuple[str, int]


@dataclass(frozen=True)
class LayerFit:
    """How well one stitching layer meets its targets before training.

    Attributes:
        layer: Its id.
        r2: Coefficient of determination over all pairs that share it; 1 is perfect.
        rows: Tokens or pixels seen, over all pairs.
        pairs: Number of joints that share it.
    """

    layer: str
    r2: float
    rows: int
    pairs: int


@torch.no_grad()
def fit_least_squares(
    network: StitchedNetwork, batches: Iterable[Tensor], *, ridge: float = 0.0
) -> list[LayerFit]:
    """Initialise every stitching layer by least squares, jointly for the pairs that share it.

    The features are those of eval mode: no drop-path, no batch statistics. Modes are restored and
    BatchNorm statistics do not change. The layers change only after all of them are solved.

    Args:
        network: Its stitching layers are set.
        batches: Normalised image batches ``(batch, channels, rows, columns)``; seen once, none is kept.
        ridge: See `LeastSquares.solve`.

    Returns:
        One entry per layer, in the space's order.

    Raises:
        StitchError: No images, too few of them, or features that are not finite (the layer is named).

    Source: Pan et al. 2023, section 3.2, with float64 sums over any number of images, and one joint
    solution per shared layer instead of an average of solutions.
    """
    device = next(network.parameters()).device
    sums = _Sums(network, device)
    images = 0
    with evaluating(network):
        for batch in batches:
            images += len(batch)
            sums.update(batch.to(device))
    if images == 0:
        raise StitchError("Least squares saw no images. Give at least one batch.")
    solved = sums.solve(ridge)
    for layer, fit in solved.items():
        network.layers[layer].set_affine(fit.weight, fit.bias)
    joints = network.space.layers
    return [LayerFit(layer, fit.r2, fit.rows, len(joints[layer])) for layer, fit in solved.items()]


class _Sums:
    """Statistics of all layers, sharing what they have in common.

    Per front cut one Gram matrix, though two windows may use it. Per layer and front cut one cross
    product, with the targets of that cut added up before they are multiplied: Xᵀ(Y₁ + Y₂) costs half of
    XᵀY₁ + XᵀY₂.
    """

    def __init__(self, network: StitchedNetwork, device: torch.device) -> None:
        self.network, self.device = network, device
        self.targets: dict[tuple[str, Cut], list[Cut]] = {}
        for joint in network.space.joints:
            front = joint.front, joint.leave
            self.targets.setdefault((joint.layer, front), []).append((joint.end, joint.enter))
        self.fronts = {front for _, front in self.targets}
        self.needed = self.fronts | {cut for cuts in self.targets.values() for cut in cuts}

        def width(cut: Cut) -> int:
            return network.space.outlines[cut[0]].features[cut[1]].width

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self.rows = dict.fromkeys(self.needed, 0)
        self.mean = {cut: zeros(width(cut)) for cut in self.needed}
        self.square = {cut: zeros(1) for cut in self.needed}
        self.gram = {cut: zeros(width(cut), width(cut)) for cut in self.fronts}
        self.cross = {key: zeros(width(key[1]), width(cuts[0])) for key, cuts in self.targets.items()}

    def update(self, images: Tensor) -> None:
        """Add one batch; every sum is about its mean, combined as in `LeastSquares`."""
        if len(images) == 0:
            return
        features = {cut: rows(x).double() for cut, x in self._features(images).items()}
        steps: dict[Cut, Tensor] = {}
        weights: dict[Cut, float] = {}
        for cut, x in features.items():
            mean, before = x.mean(0), self.rows[cut]
            features[cut] = x - mean
            steps[cut] = mean - self.mean[cut]
            weights[cut] = before * len(x) / (before + len(x))
            self.square[cut] += features[cut].square().sum() + weights[cut] * steps[cut].square().sum()
            self.rows[cut] += len(x)
            self.mean[cut] += steps[cut] * (len(x) / self.rows[cut])
        for cut in self.fronts:
            self.gram[cut].addmm_(features[cut].T, features[cut])
            self.gram[cut].addr_(steps[cut], steps[cut], alpha=weights[cut])
        for (layer, front), cuts in self.targets.items():
            target, step = features[cuts[0]], steps[cuts[0]]
            for cut in cuts[1:]:
                target, step = target + features[cut], step + steps[cut]
            cross = self.cross[layer, front]
            cross.addmm_(features[front].T, target).addr_(steps[front], step, alpha=weights[front])

    def _features(self, images: Tensor) -> dict[Cut, Tensor]:
        found = {}
        for name, anchor in self.network.anchors.items():
            cuts = sorted(cut for owner, cut in self.needed if owner == name)
            at, x = 0, anchor.stem(images) if cuts else images
            for cut in cuts:
                x = anchor.run(x, at, cut)
                found[name, cut] = x
                at = cut
        return found

    def solve(self, ridge: float) -> dict[str, AffineMap]:
        solved = {}
        for layer, joints in self.network.space.layers.items():
            front, end = self.network.space.features(joints[0])
            total = LeastSquares(front.width, end.width, device=self.device)
            for (owner, cut), cuts in self.targets.items():
                if owner == layer:
                    total.merge(self._statistics((owner, cut), cuts))
            try:
                solved[layer] = total.solve(ridge=ridge)
            except StitchError as error:
                raise StitchError(f"Layer {layer}: {error}") from None
        return solved

    def _statistics(self, key: tuple[str, Cut], cuts: list[Cut]) -> LeastSquares:
        front = key[1]
        part = LeastSquares(*self.cross[key].shape, device=self.device)
        means = torch.stack([self.mean[cut] for cut in cuts])
        part.rows = len(cuts) * self.rows[front]
        part.x_mean, part.y_mean = self.mean[front], means.mean(0)
        part.scatter, part.cross = len(cuts) * self.gram[front], self.cross[key]
        between = self.rows[front] * (means - part.y_mean).square().sum()
        part.y_scatter = float(between + sum(self.square[cut] for cut in cuts))
        return part
