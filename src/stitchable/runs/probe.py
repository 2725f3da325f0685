"""A small measure of the whole network after each epoch, and the network where it was best."""

from __future__ import annotations

import json
from dataclasses import dataclass

from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.evaluation.sweep import tally
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.runs.folder import RunFolder
from stitchable.space.prune import sample_members
from stitchable.stitch import Stitch
from stitchable.training.options import TrainOptions
from stitchable.training.tuning import plain_layers

STITCHES = 8


@dataclass(frozen=True)
class Probe:
    """The same few stitches on the same few held-out images, whenever it is asked.

    The training loss is no measure of an epoch: each step's is that of another stitch and another batch.

    Attributes:
        run: Its ``best/`` is written.
        network: What is measured, as it is at the time.
        source: Held-out images.
        stitches: The anchors and eight others, drawn with the training's seed.
        images: How many of the images to use.
        batch_size: Images per forward pass.
        workers: Processes that read images.
        ranks: The processes that share the images.
    """

    run: RunFolder
    network: StitchedNetwork
    source: ImageSource
    stitches: tuple[Stitch, ...]
    images: int
    batch_size: int
    workers: int
    ranks: Ranks = ALONE

    @classmethod
    def of(
        cls,
        run: RunFolder,
        network: StitchedNetwork,
        source: ImageSource | None,
        *,
        options: TrainOptions,
        workers: int,
        seed: int,
        ranks: Ranks = ALONE,
    ) -> Probe | None:
        """The probe that ``options`` ask for, if any, on the held-out images that ``source`` then holds."""
        images = options.checkpoint.probe_images
        if not images or source is None:
            return None
        count = min(network.space.count, len(network.anchors) + STITCHES)
        stitches = tuple(sample_members(network.space, count, seed=seed))
        return cls(run, network, source, stitches, images, options.batch_size, workers, ranks)

    def loss(self) -> float:
        """Mean over the stitches of their mean cross-entropy in nats."""
        images = min(self.images, len(self.source))
        # Of fewer images than processes each measures all, and all come to the same.
        ranks = self.ranks if images >= self.ranks.count else ALONE
        loader = image_loader(
            self.source,
            self.network.input_spec,
            batch_size=max(min(self.batch_size, images), ranks.count),
            limit=self.images,
            workers=self.workers,
            rank=ranks.rank,
            ranks=ranks.count,
        )
        found = tally(self.network, self.stitches, loader)
        told: list[list[tuple[float, int]]] = ranks.gather([(each.loss, each.images) for each in found])
        means: list[float] = [
            sum(loss for loss, _ in each) / sum(n for _, n in each) for each in zip(*told, strict=True)
        ]
        return sum(means) / len(means)

    def keep(self, loss: float) -> None:
        """Write the network as it is into ``best/``, with its loss in ``probe.json``."""
        with plain_layers(self.network):
            self.network.save_pretrained(self.run.best)
        told = {"loss": loss, "images": min(self.images, len(self.source))}
        text = json.dumps({**told, "stitches": [str(stitch) for stitch in self.stitches]}, indent=1)
        (self.run.best / "probe.json").write_text(f"{text}\n", encoding="utf-8")
