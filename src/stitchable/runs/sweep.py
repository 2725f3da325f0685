"""The third step of a run: the curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, Literal

from torch import Tensor

from stitchable import __version__
from stitchable.anchors.store import WEIGHTS
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.errors import StitchError
from stitchable.evaluation.answers import Answers
from stitchable.evaluation.curve import CurveRow, write_curve
from stitchable.evaluation.curve_statistics import with_statistics
from stitchable.evaluation.outcomes import Outcomes, write_outcomes
from stitchable.evaluation.race import Race
from stitchable.evaluation.rows import curve_rows
from stitchable.evaluation.sweep import measure, tallies
from stitchable.evaluation.trie import Trie
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.ranks import Ranks, joined
from stitchable.runs.calibration import calibration_batches, calibration_options
from stitchable.runs.chosen import chosen_stitches
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.runs.memory import fitting_batch_size
from stitchable.runs.sweeping import Sweeping
from stitchable.stitch import Stitch
from stitchable.training.checkpoint import digest_file

Weights = Literal["auto", "fitted", "trained"]


def sweep_run(
    run: RunFolder,
    *,
    data: DataConfig,
    options: SweepConfig,
    weights: Weights = "auto",
    seed: int = 0,
    device: str = "auto",
    trust_code: bool = False,
    on_start: Callable[[int, int], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> list[CurveRow]:
    """Measure the curve of a run; write ``curve.jsonl`` (trained) or ``curve_fitted.jsonl``.

    What every stitch answered on every image goes into ``outcomes.safetensors`` or
    ``outcomes_fitted.safetensors``, up to `stitchable.evaluation.answers.MOST_KEPT` answers. A sweep that was
    cut off goes on where it was, as long as nothing has changed that decides the answers.

    The configuration of the run takes over what was measured on, so that the report can say it.

    Under ``torchrun`` all its processes share the batches of images, see `stitchable.ranks.joined`; the first
    one alone writes and calls back. The curve does not depend on their number, to the last digit where a
    batch gives each of them the same logits: on the same kind of processor with as many threads.

    Args:
        run: A run that was fitted.
        data: Its ``val`` images are used; of its ``train`` images some, where BatchNorm statistics are to be
            adjusted.
        options: See `SweepConfig`.
        weights: Which network; ``"auto"`` takes the trained one where there is one.
        seed: Of the draw, where only some stitches are measured.
        device: See `Ranks.device`.
        trust_code: Allow the folder's own architecture files to run.
        on_start: Called with the number of stitches and images.
        on_batch: Called with the number of images after each batch, those of an earlier go included.
        on_note: Called with a line that is worth reading.

    Raises:
        StitchError: The run or its network is missing, or the images do not fit.
    """
    run.require()
    given = options
    if weights == "trained" and not run.is_trained:
        raise StitchError(f"{run.path} is not trained. Train it first, or sweep with --weights fitted.")
    trained = run.is_trained and weights != "fitted"
    with joined() as ranks:
        where = ranks.device(device)
        folder = run.network if trained else run.fitted
        network = StitchedNetwork.from_pretrained(folder, trust_code=trust_code).to(where)
        # Held in memory, every process would decode the images of all.
        source = open_for(network, replace(data, memory=data.memory and ranks.count == 1), "val")
        images = min(options.images or len(source), len(source))
        stitches = chosen_stitches(network.space, options.stitches, seed=seed)
        options = calibration_options(options, run, trained=trained)
        if on_start and ranks.first:
            on_start(len(stitches), images)
        if options.memory:
            options = _within(options.memory, options, network, stitches)
        calibration = calibration_batches(network, stitches, data, options, ranks=ranks)
        race = None
        if options.target == "front":
            race = Race(
                [network.cost(each).macs for each in stitches],
                images=images,
                batch_size=options.batch_size,
                confidence=options.confidence,
                keep=[at for at, each in enumerate(stitches) if len(each.segments) == 1],
            )

        def batches(start: int, stop: int | None) -> Iterator[tuple[Tensor, Tensor]]:
            loader = image_loader(
                source,
                network.input_spec,
                batch_size=options.batch_size,
                limit=options.images,
                shuffle_seed=seed if race else None,  # what a race has seen should be like what is to come
                workers=data.workers,
                start=start + ranks.rank,
                every=ranks.count,
                keep_empty=True,
            )
            yield from islice(loader, None if stop is None else len(ranks.share(stop - start)))

        with ExitStack() as stack:
            tries = [_trie(stack, network, stitches, calibration, ranks)]
            if trained:
                # The anchors as they came, on the same images: what joint training did to them.
                fitted = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(where)
                alone = [fitted.space.stitch(name) for name in fitted.anchors]
                tries.append(_trie(stack, fitted, alone, None, ranks))
            answers = Answers(sum(map(len, tries)), images=images)
            identity = _identity(run, source, stitches, data, options, seed=seed, trained=trained)
            so_far = stack.enter_context(Sweeping(run.sweeping, identity))
            keep = ranks.first and answers.kept
            before = ranks.from_first(so_far.read() if keep else [])
            if before and on_note and ranks.first:
                on_note(f"going on after {sum(len(each.labels) for each in before):,} of {images:,} images")
            measure(
                answers,
                tries,
                batches,
                race=race,
                measured=before,
                half=options.autocast == "bfloat16",
                together=options.together,
                on_answers=so_far.add if keep else None,
                on_batch=on_batch if ranks.first else None,
                ranks=ranks,
            )
        originals = None
        if trained:
            originals = dict(
                zip(fitted.anchors, tallies(answers, tries[1], first=len(stitches)), strict=True)
            )
        rows = curve_rows(network.space, stitches, tallies(answers, tries[0]), originals=originals)
        outcomes = answers.outcomes([str(each) for each in stitches]) if answers.kept else None
        if outcomes:
            rows = with_statistics(rows, outcomes)
        if ranks.first:
            _write(run, rows, outcomes, trained=trained)
            config = run.read_config()
            changed = {"data": {**config["data"], "val": data.val}, "sweep": asdict(given)}
            run.write_config({**config, **changed})
            so_far.remove()
        ranks.wait()
    return rows


def _within(
    memory: str, options: SweepConfig, network: StitchedNetwork, stitches: Sequence[Stitch]
) -> SweepConfig:
    """The options with batches that keep within a bound, and as many that run together."""
    largest = options.batch_size
    with evaluating(network):
        size = fitting_batch_size(Trie(network, stitches), memory, largest=largest, together=options.together)
    return replace(options, batch_size=size, together=-(-options.together * size // largest))


def _trie(
    stack: ExitStack,
    network: StitchedNetwork,
    stitches: Sequence[Stitch],
    calibration: Iterator[Tensor] | None,
    ranks: Ranks,
) -> Trie:
    stack.enter_context(evaluating(network))
    return Trie(network, stitches, calibration=calibration, ranks=ranks)


def _identity(
    run: RunFolder,
    source: ImageSource,
    stitches: Sequence[Stitch],
    data: DataConfig,
    options: SweepConfig,
    *,
    seed: int,
    trained: bool,
) -> dict[str, Any]:
    """What decides the answers of a sweep."""
    folders = [run.fitted, *([run.network] if trained else [])]
    return {
        "stitchable": __version__,
        "weights": [digest_file(each / WEIGHTS) for each in folders],
        "stitches": [str(each) for each in stitches],
        "val": [data.val, source.digest],
        "train": data.train if options.calibration_images else None,
        "sweep": asdict(options),
        "seed": seed if options.target == "front" else None,
    }


def _write(run: RunFolder, rows: list[CurveRow], outcomes: Outcomes | None, *, trained: bool) -> None:
    file = run.outcomes if trained else run.outcomes_fitted
    file.unlink(missing_ok=True)  # never the answers of another curve
    write_curve(run.curve if trained else run.curve_fitted, rows)
    if outcomes:
        write_outcomes(file, outcomes)
