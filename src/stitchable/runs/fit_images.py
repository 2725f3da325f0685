"""The training images that a fit reads: which are held out, and how many come at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from stitchable.anchors.anchor import Anchor
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.ranks import Ranks
from stitchable.runs.config import FitConfig, RunConfig

HELD_OUT_SHARE = 5  # one image in so many is held out,
HELD_OUT_MOST = 500  # but no more than these: thousands of rows in maps and tokens
FIRST_IMAGES = 250  # fitted to before the number is doubled for the first time


class Plan(NamedTuple):
    """Which batches are for what.

    Attributes:
        held_out: So many batches come first and are held out.
        ends: Where each part of the others ends, counted from the first batch of all.
    """

    held_out: int
    ends: tuple[int, ...]


def plan_batches(images: int, options: FitConfig) -> Plan:
    """Divide some images, in whole batches.

    Args:
        images: How many are to be read at most.
        options: Parts grow by doubling where its ``images`` is ``"auto"``; otherwise there is one part.

    Raises:
        StitchError: There is no second batch.

    Example:
        >>> plan_batches(1000, FitConfig(ridge="auto"))
        Plan(held_out=4, ends=(20,))
        >>> plan_batches(4000, FitConfig(images="auto"))
        Plan(held_out=10, ends=(15, 20, 30, 50, 80))
    """
    size = options.batch_size
    batches = -(-images // size)
    if batches < 2:
        raise StitchError(
            f"Of {images} images in batches of {size} none can be held out. Lower fit.batch_size to "
            f"{max(images // HELD_OUT_SHARE, 1)}, or choose and correct nothing."
        )
    held_out = max(1, min(batches // HELD_OUT_SHARE, HELD_OUT_MOST // size))
    if options.images != "auto":
        return Plan(held_out, (batches,))
    ends, part = [], max(1, FIRST_IMAGES // size)
    while held_out + part < batches:
        ends.append(held_out + part)
        part *= 2
    return Plan(held_out, (*ends, batches))


class FitImages:
    """This process's share of the batches that a fit reads, one after the other.

    Args:
        source: The training images.
        network: Says how they are normalised; an anchor can as well.
        config: How many, in which order, and who reads them.
        ranks: Each takes every N-th batch.

    Attributes:
        plan: Which batches are held out, where anything is chosen on them; see `plan_batches`.

    Raises:
        StitchError: There are too few images to hold any out.
    """

    def __init__(
        self, source: ImageSource, network: StitchedNetwork | Anchor, config: RunConfig, ranks: Ranks
    ) -> None:
        options, self._ranks = config.fit, ranks
        self._wanted = options.images_limit if isinstance(options.images, str) else options.images
        self.plan = Plan(0, ())
        if options.chooses:
            self._wanted = min(self._wanted, len(source))
            self.plan = plan_batches(self._wanted, options)
        self._size = options.batch_size
        loader = image_loader(
            source,
            network.input_spec,
            batch_size=options.batch_size,
            shuffle_seed=config.seed,
            workers=config.data.workers,
            start=ranks.rank,
            every=ranks.count,
            keep_full=True,  # as many images as are asked for, however many do not read
        )
        self._batches = iter(loader)

    def all(self) -> Iterator[Tensor]:
        """Every batch; the last one is cut."""
        return self._until(-(-self._wanted // self._size), 0)

    def held_out(self) -> Iterator[Tensor]:
        """The batches that come first and are held out."""
        return self._until(self.plan.held_out, 0)

    def parts(self) -> Iterator[Iterator[Tensor]]:
        """What comes then, part by part; each is read before the next is asked for."""
        first = self.plan.held_out
        for end in self.plan.ends:
            yield self._until(end, first)
            first = end

    def _until(self, end: int, first: int) -> Iterator[Tensor]:
        mine = [number for number in range(first, end) if number % self._ranks.count == self._ranks.rank]
        for number, (images, _) in zip(mine, self._batches, strict=False):
            yield images[: self._wanted - number * self._size]
