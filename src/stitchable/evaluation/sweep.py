"""The sweep: top-1 and loss of many stitches in one reading of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice

from torch import Tensor

from stitchable.errors import StitchError
from stitchable.evaluation.answers import Answers, BatchAnswers, Tally, answer
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.race import Race
from stitchable.evaluation.rows import curve_rows
from stitchable.evaluation.trie import Trie
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.stitch import Stitch

Batches = Callable[[int, int | None], Iterable[tuple[Tensor, Tensor]]]
"""This process's share of the batches from one number up to another, ``None`` being the end."""


def tally(
    network: StitchedNetwork,
    stitches: Sequence[Stitch],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    calibration: Iterable[Tensor] | None = None,
    half: bool = False,
    on_batch: Callable[[int], None] | None = None,
    ranks: Ranks = ALONE,
) -> list[Tally]:
    """Count what every stitch gets right, in eval mode; the data are read once.

    Args:
        network: Modes are restored afterwards, and its buffers do not change.
        stitches: What to measure.
        batches: Normalised images ``(batch, channels, rows, columns)`` and labels ``(batch,)``, int64.
        calibration: See `Trie`; ``None`` measures every stitch with the anchors' own BatchNorm statistics.
        half: Compute under bfloat16 autocast, but for the calibration.
        on_batch: Called with the number of images after each batch, of whichever process.
        ranks: The processes that share the work: ``batches`` and ``calibration`` are then this one's, of
            all batches those of its `Ranks.share`. All get the same tallies, and where a batch gives the
            same logits in any of them, these are those of one process, to the last bit.

    Returns:
        One tally per stitch, in the order given.

    Raises:
        StitchError: No images came, to measure on or to calibrate with.
    """
    with evaluating(network):
        trie = Trie(network, stitches, calibration=calibration, ranks=ranks)
        answers = Answers(len(trie))
        answers.kept = False
        measure(answers, [trie], lambda start, stop: batches, half=half, on_batch=on_batch, ranks=ranks)
    return tallies(answers, trie)


def measure(
    answers: Answers,
    tries: Sequence[Trie],
    batches: Batches,
    *,
    race: Race | None = None,
    measured: Iterable[BatchAnswers] = (),
    half: bool = False,
    together: int = 0,
    on_answers: Callable[[BatchAnswers], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    ranks: Ranks = ALONE,
) -> None:
    """Show images to the stitches of some tries until there are no more.

    Args:
        answers: Takes in what they answer.
        tries: Of networks in eval mode; the first one's stitches race, those of the others see all images.
        batches: Asked for once per round of the race; see `Ranks.share`.
        race: Stops stitches on the way; none where left out.
        measured: Answers to the first batches, as ``on_answers`` was told; they are not asked for again.
        half: See `tally`.
        together: See `Trie.run`.
        on_answers: Told of every new batch's answers, in the order of batches.
        on_batch: See `tally`.
        ranks: See `tally`.

    Raises:
        StitchError: No images came.
    """
    racing, others = len(tries[0]), range(len(tries[0]), sum(map(len, tries)))
    stored = iter(measured)

    def take(each: BatchAnswers) -> None:
        answers.add(each)
        if race:
            race.saw(each.right[:racing], each.seen[:racing])
        if on_batch:
            on_batch(len(each.labels))

    for stop in race.rounds() if race else [None]:
        for each in islice(stored, None if stop is None else stop - answers.batches):
            take(each)
        if stop is None or answers.batches < stop:
            only = {*race.running, *others} if race else None
            mine = (
                answer(tries, *batch, half=half, only=only, together=together)
                for batch in batches(answers.batches, stop)
            )
            for each in ranks.in_turn(mine):
                if on_answers:
                    on_answers(each)
                take(each)
        if race:
            race.decide()
    if not answers.images:
        raise StitchError("The sweep saw no images. Give at least one batch.")


def tallies(answers: Answers, trie: Trie, *, first: int = 0) -> list[Tally]:
    """Sums of each stitch of a trie whose stitches are numbered from ``first`` on."""
    return [
        replace(
            answers.tally(first + position),
            calibration_images=trie.calibration_images if position in trie.calibrated else None,
        )
        for position in range(len(trie))
    ]


def sweep(
    network: StitchedNetwork,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    stitches: Sequence[Stitch] | None = None,
    originals: dict[str, Tally] | None = None,
    calibration: Iterable[Tensor] | None = None,
    half: bool = False,
    on_batch: Callable[[int], None] | None = None,
    ranks: Ranks = ALONE,
) -> list[CurveRow]:
    """Measure stitches and put them into rows of the curve.

    Args:
        network: Modes are restored afterwards, and its buffers do not change.
        batches: See `tally`.
        stitches: What to measure; the whole space where left out.
        originals: Tallies of the anchors before joint training, by name, on the same images.
        calibration: See `tally`.
        half: See `tally`.
        on_batch: See `tally`.
        ranks: See `tally`.

    Returns:
        One row per stitch, in the order of their indices.
    """
    chosen = sorted(network.space if stitches is None else stitches, key=network.space.index)
    found = tally(
        network, chosen, batches, calibration=calibration, half=half, on_batch=on_batch, ranks=ranks
    )
    return curve_rows(network.space, chosen, found, originals=originals)
