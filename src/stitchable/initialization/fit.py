"""Fitting all stitching layers of a network in one pass over some images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchable.anchors.anchor import Anchor
from stitchable.device import sums_device
from stitchable.errors import StitchError
from stitchable.feature import Cut
from stitchable.initialization.layer_statistics import LayerStatistics
from stitchable.initialization.least_squares import AffineMap
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks


@dataclass(frozen=True)
class LayerFit:
    """How well one stitching layer meets its targets before training.

    Attributes:
        layer: Its id.
        r2: Coefficient of determination over all pairs that share it; 1 is perfect.
        rows: Tokens or pixels seen, over all pairs.
        pairs: Number of joints that share it.
        ridge: Strength of its penalty, see `LeastSquares.solve`.
        images: Number of images seen.
        held_out_r2: That of a map of this ridge, before variances are matched, on images that it was not
            fitted to, where the ridge or the number of images was chosen by it, see `fit_held_out`; ``None``
            otherwise.
    """

    layer: str
    r2: float
    rows: int
    pairs: int
    ridge: float
    images: int
    held_out_r2: float | None = None


@torch.no_grad()
def fit_least_squares(
    network: StitchedNetwork,
    batches: Iterable[Tensor],
    *,
    ridge: float = 0.0,
    match_variance: bool = False,
    ranks: Ranks = ALONE,
) -> list[LayerFit]:
    """Initialise every stitching layer by least squares, jointly for the pairs that share it.

    The features are those of eval mode: no drop-path, no batch statistics. Modes are restored and
    BatchNorm statistics do not change. The layers change only after all of them are solved.

    Args:
        network: Its stitching layers are set.
        batches: Normalised image batches ``(batch, channels, rows, columns)``; seen once, none is kept.
        ridge: See `LeastSquares.solve`.
        match_variance: See `LeastSquares.solve`.
        ranks: The processes that share the work: each gives batches of its own, and all get the solution of
            the batches of all. It does not depend on their number, but for the order in which float64 sums
            are added up.

    Returns:
        One entry per layer, in the space's order.

    Raises:
        StitchError: No images, too few of them, or features that are not finite (the layer is named).

    Source: Pan et al. 2023, section 3.2, with float64 sums over any number of images, and one joint
    solution per shared layer instead of an average of solutions.
    """
    statistics = LayerStatistics(network.space, device=sums_device(next(network.parameters()).device))
    images = take_in(network, statistics, batches, ranks)
    if images == 0:
        raise StitchError("Least squares saw no images. Give at least one batch.")
    statistics.merge(ranks)
    solved = statistics.solve(ridge=ridge, match_variance=match_variance)
    set_layers(network, statistics, solved)
    joints = network.space.layers
    return [
        LayerFit(layer, fit.r2, fit.rows, len(joints[layer]), ridge, images) for layer, fit in solved.items()
    ]


def take_in(
    network: StitchedNetwork, statistics: LayerStatistics, batches: Iterable[Tensor], ranks: Ranks
) -> int:
    """Add the features of some images to this process's sums, in eval mode.

    Args:
        network: Its anchors run; modes are restored.
        statistics: Of its space.
        batches: Normalised images, this process's.
        ranks: All of them call this.

    Returns:
        Number of images that all processes have added.
    """
    device = next(network.parameters()).device
    where = sums_device(device)

    def seen() -> Iterator[int]:
        for batch in batches:
            features = cut_features(network.anchors, statistics.cuts, batch.to(device))
            statistics.update({cut: x.to(where) for cut, x in features.items()})
            yield len(batch)

    with evaluating(network):
        return sum(ranks.in_turn(seen()))


def set_layers(
    network: StitchedNetwork, statistics: LayerStatistics, solved: Mapping[str, AffineMap]
) -> None:
    """Hand the stitching layers their maps, and the prefix tokens that the statistics know of."""
    for layer, fit in solved.items():
        network.layers[layer].set_affine(fit.weight, fit.bias)
        prefix = statistics.prefix(layer)
        if prefix is not None:
            network.layers[layer].set_prefix(prefix)


def cut_features(anchors: Mapping[str, Anchor], cuts: Iterable[Cut], images: Tensor) -> dict[Cut, Tensor]:
    """Features of some anchors at some cuts, each anchor run once and no further than needed.

    Args:
        anchors: By name, such as a network's; run in the modes they are in.
        cuts: Anchors' names and their cuts.
        images: Normalised images ``(batch, channels, rows, columns)``, on the anchors' device.

    Returns:
        For every cut its feature, shaped as the anchor's spec says.
    """
    wanted: dict[str, list[int]] = {}
    for name, cut in sorted(cuts):
        wanted.setdefault(name, []).append(cut)
    found = {}
    for name, stops in wanted.items():
        at, x = 0, anchors[name].stem(images)
        for cut in stops:
            x = anchors[name].run(x, at, cut)
            found[name, cut] = x
            at = cut
    return found
