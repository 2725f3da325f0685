"""A sweep that is decided, down to its batches: what it measures, and what that depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from typing import Any

from torch import Tensor

from stitchable import __version__
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.evaluation.answers import Answers
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.curve_statistics import with_statistics
from stitchable.evaluation.outcomes import Outcomes
from stitchable.evaluation.race import Race
from stitchable.evaluation.rows import curve_rows
from stitchable.evaluation.sweep import measure, tallies
from stitchable.evaluation.trie import Trie
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.ranks import Ranks
from stitchable.runs.calibration import calibration_batches
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.sweeping import Sweeping
from stitchable.stitch import Stitch


class SweepPlan:
    """Stitches, images and options of a sweep.

    Args:
        network: Its stitches are measured.
        source: Held-out images.
        stitches: Of its space, the anchors among them.
        data: Where images for BatchNorm statistics come from, and who reads.
        options: With every choice made, see `stitchable.runs.calibration.calibration_options`.
        seed: Of the order in which a race sees the images.
        ranks: The processes that share the batches; all of them make the same plan.
    """

    def __init__(
        self,
        network: StitchedNetwork,
        source: ImageSource,
        stitches: Sequence[Stitch],
        *,
        data: DataConfig,
        options: SweepConfig,
        seed: int,
        ranks: Ranks,
    ) -> None:
        self.network = network
        self.source = source
        self.stitches = stitches
        self.data = data
        self.options = options
        self.ranks = ranks
        self.images = min(options.images or len(source), len(source))
        self.races = options.target == "front"
        # What a race has seen should be like what is to come; all others see the images in their order.
        self.seed = seed if self.races else None

    def identity(self, weights: Sequence[str]) -> dict[str, Any]:
        """What decides the answers, as plain data.

        Args:
            weights: Digests of the networks that are asked.
        """
        return {
            "stitchable": __version__,
            "weights": list(weights),
            "stitches": [str(each) for each in self.stitches],
            "val": [self.data.val, self.source.digest],
            "train": self.data.train if self.options.calibration_images else None,
            "sweep": asdict(self.options),
            "seed": self.seed,
        }

    def measure(
        self,
        fitted: StitchedNetwork | None,
        sweeping: Sweeping,
        *,
        on_batch: Callable[[int], None] | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> tuple[list[CurveRow], Outcomes | None]:
        """Ask every stitch about every image.

        Args:
            fitted: The network before training, if its anchors are to be measured as originals.
            sweeping: Answers so far, from which it goes on; new ones are added.
            on_batch: Called with the number of images after each batch.
            on_note: Called with a line that is worth reading.

        Returns:
            The curve, and the answers behind it where they are not too many to keep.
        """
        calibration = calibration_batches(
            self.network, self.stitches, self.data, self.options, ranks=self.ranks
        )
        race = self._race()
        with ExitStack() as stack:
            tries = [self._trie(stack, self.network, self.stitches, calibration)]
            if fitted:
                alone = [fitted.space.stitch(name) for name in fitted.anchors]
                tries.append(self._trie(stack, fitted, alone, None))
            answers = Answers(sum(map(len, tries)), images=self.images)
            stack.enter_context(sweeping)
            keep = self.ranks.first and answers.kept
            before = self.ranks.from_first(sweeping.read() if keep else [])
            if before and on_note:
                seen = sum(len(each.labels) for each in before)
                on_note(f"going on after {seen:,} of {self.images:,} images")
            measure(
                answers,
                tries,
                self._batches,
                race=race,
                measured=before,
                half=self.options.autocast == "bfloat16",
                together=self.options.together,
                on_answers=sweeping.add if keep else None,
                on_batch=on_batch,
                ranks=self.ranks,
            )
        originals = None
        if fitted:
            found = tallies(answers, tries[1], first=len(self.stitches))
            originals = dict(zip(fitted.anchors, found, strict=True))
        rows = curve_rows(self.network.space, self.stitches, tallies(answers, tries[0]), originals=originals)
        if not answers.kept:
            return rows, None
        outcomes = answers.outcomes([str(each) for each in self.stitches])
        return with_statistics(rows, outcomes), outcomes

    def _race(self) -> Race | None:
        if not self.races:
            return None
        return Race(
            [self.network.cost(each).macs for each in self.stitches],
            images=self.images,
            batch_size=self.options.batch_size,
            confidence=self.options.confidence,
            keep=[at for at, each in enumerate(self.stitches) if len(each.segments) == 1],
        )

    def _batches(self, start: int, stop: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of the batches from ``start`` to ``stop``."""
        loader = image_loader(
            self.source,
            self.network.input_spec,
            batch_size=self.options.batch_size,
            limit=self.options.images,
            shuffle_seed=self.seed,
            workers=self.data.workers,
            start=start + self.ranks.rank,
            every=self.ranks.count,
            keep_empty=True,
        )
        yield from islice(loader, None if stop is None else len(self.ranks.share(stop - start)))

    def _trie(
        self,
        stack: ExitStack,
        network: StitchedNetwork,
        stitches: Sequence[Stitch],
        calibration: Iterator[Tensor] | None,
    ) -> Trie:
        stack.enter_context(evaluating(network))
        return Trie(network, stitches, calibration=calibration, ranks=self.ranks)
