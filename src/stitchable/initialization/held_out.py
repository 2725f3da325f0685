"""Least squares whose ridge and number of images are chosen on images that it was not fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor

from stitchable.device import sums_device
from stitchable.errors import StitchError
from stitchable.initialization.fit import LayerFit, set_layers, take_in
from stitchable.initialization.layer_statistics import LayerStatistics
from stitchable.initialization.least_squares import LeastSquares
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks

RIDGES = (0.0, *(10.0 ** (power / 2) for power in range(-12, 1)))
"""Strengths that are tried: none, and from a millionth of the mean eigenvalue to all of it."""

TOLERANCE = 0.001
"""More images are taken as long as the layers' mean held-out R² gains more than this."""


@dataclass(frozen=True)
class Choice:
    """A ridge, and how well a map of this strength meets rows that it was not fitted to."""

    ridge: float
    held_out_r2: float


@dataclass(frozen=True)
class HeldOutFit:
    """What `fit_held_out` did.

    Attributes:
        layers: One entry per layer, in the space's order.
        grown: Number of images fitted to and the layers' mean held-out R², after each part.
        enough: Whether the last part brought no more than the tolerance; ``False`` where the parts ran out.
    """

    layers: list[LayerFit]
    grown: list[tuple[int, float]]
    enough: bool


def choose_ridge(rows: LeastSquares, held_out: LeastSquares, ridges: Sequence[float] = RIDGES) -> Choice:
    """The ridge whose map, solved for some rows, has the highest R² on others; the smallest among equals.

    Args:
        rows: What maps are solved for. A ridge of 0 is left out where they are too few for it.
        held_out: What they are judged on.
        ridges: In rising order. The maps are judged before variances are matched: where little is predicted,
            a bound on the scale (`LARGEST_SCALE`) would reward ridges that predict nothing.

    Raises:
        StitchError: As `LeastSquares.solve`, or there are no held-out rows.
    """
    if held_out.rows == 0:
        raise StitchError("No images are held out. Give more images, or a ridge of your own.")
    enough = [ridge for ridge in ridges if ridge or rows.rows > len(rows.x_mean)]
    tried = (Choice(ridge, held_out.r2(rows.solve(ridge=ridge))) for ridge in enough or ridges)
    # Rounded, so that the order in which processes add up float64 decides nothing.
    return max(tried, key=lambda choice: round(choice.held_out_r2, 9))


def choose_ridges(
    statistics: LayerStatistics, held_out: LayerStatistics, ridges: Sequence[float] = RIDGES
) -> dict[str, Choice]:
    """`choose_ridge` for every layer. Raises as that; the layer is named."""
    found = {}
    for layer in statistics.space.layers:
        try:
            found[layer] = choose_ridge(statistics.layer(layer), held_out.layer(layer), ridges)
        except StitchError as error:
            raise StitchError(f"Layer {layer}: {error}") from None
    return found


@torch.no_grad()
def fit_held_out(
    network: StitchedNetwork,
    held_out: Iterable[Tensor],
    parts: Iterable[Iterable[Tensor]],
    *,
    ridges: Sequence[float] = RIDGES,
    tolerance: float = TOLERANCE,
    match_variance: bool = False,
    ranks: Ranks = ALONE,
) -> HeldOutFit:
    """`fit_least_squares`, with each layer's ridge and the number of images chosen on held-out images.

    After each part every layer takes the ridge that is best on the held-out images, and the next part is read
    only if the mean of the layers' R² there has grown by more than the tolerance. In the end the held-out
    images' sums are added, and the layers are solved for all images with the chosen ridges. All of it is done
    with sums: no image is read twice, and none is kept.

    Args:
        network: Its stitching layers are set.
        held_out: Normalised image batches ``(batch, channels, rows, columns)``, as in `fit_least_squares`.
        parts: More batches, in parts; those that are not needed are not asked for. One part leaves nothing to
            choose but the ridges.
        ridges: What is tried, in rising order; one alone leaves nothing to choose but the number of images.
        tolerance: Of R².
        match_variance: See `LeastSquares.solve`.
        ranks: As in `fit_least_squares`; each gives held-out batches and parts of its own, and as many parts.

    Raises:
        StitchError: As `fit_least_squares`, or there are no held-out images.
    """
    device = sums_device(next(network.parameters()).device)
    aside, statistics = (LayerStatistics(network.space, device=device) for _ in range(2))
    kept = take_in(network, aside, held_out, ranks)
    aside.merge(ranks)
    images, enough, whole = 0, False, statistics
    choices: dict[str, Choice] = {}
    grown: list[tuple[int, float]] = []
    for part in parts:
        images += take_in(network, statistics, part, ranks)
        whole = statistics.merged(ranks)
        choices = choose_ridges(whole, aside, ridges)
        grown.append((images, mean([choice.held_out_r2 for choice in choices.values()] or [1.0])))
        enough = len(grown) > 1 and grown[-1][1] - grown[-2][1] <= tolerance
        if enough:
            break
    if not grown:
        raise StitchError("Least squares saw no images but held-out ones. Give at least one batch more.")
    whole.add(aside)
    chosen = {layer: choice.ridge for layer, choice in choices.items()}
    solved = whole.solve(ridge=chosen, match_variance=match_variance)
    set_layers(network, whole, solved)
    pairs = network.space.layers
    layers = [
        LayerFit(
            layer,
            fit.r2,
            fit.rows,
            len(pairs[layer]),
            chosen[layer],
            images + kept,
            choices[layer].held_out_r2,
        )
        for layer, fit in solved.items()
    ]
    return HeldOutFit(layers, grown, enough)
