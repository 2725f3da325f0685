"""The third step of a run: the curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from stitchable.anchors.store import WEIGHTS
from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow, read_curve, stopped_early, write_curve
from stitchable.evaluation.outcomes import Outcomes, write_outcomes
from stitchable.evaluation.trie import Trie
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.ranks import joined
from stitchable.runs.calibration import calibration_options
from stitchable.runs.chosen import chosen_stitches
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.runs.memory import fitting_batch_size
from stitchable.runs.sweep_plan import SweepPlan
from stitchable.runs.sweeping import Sweeping
from stitchable.stitch import Stitch
from stitchable.training.checkpoint import checkpoints, digest_file

Weights = Literal["auto", "fitted", "trained"]
PART = ("images", "stitches", "target")  # options that say how much of a run one sweep measures


def sweep_run(
    run: RunFolder,
    *,
    data: DataConfig,
    options: SweepConfig,
    weights: Weights = "auto",
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    trust_code: bool = False,
    on_start: Callable[[int, int], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> list[CurveRow]:
    """Measure the curve of a run; write ``curve.jsonl`` (trained) or ``curve_fitted.jsonl``.

    What every stitch answered on every image goes into ``outcomes.safetensors`` or
    ``outcomes_fitted.safetensors``, up to `stitchable.evaluation.answers.MOST_KEPT` answers. A sweep that was
    cut off goes on where it was, as long as nothing has changed that decides the answers.

    The configuration of the run takes over what was measured on, and how. How much of it is a matter of this
    sweep: the next one measures all again, or what the run's recipe says.

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
        overwrite: Replace a curve of more stitches, or of more images.
        trust_code: Allow the folder's own architecture files to run.
        on_start: Called with the number of stitches and images.
        on_batch: Called with the number of images after each batch, those of an earlier go included.
        on_note: Called with a line that is worth reading.

    Raises:
        StitchError: The run or its network is missing, the images do not fit, or the curve that is there
            would lose stitches or images.
    """
    run.require()
    if weights == "trained" and not run.is_trained:
        raise StitchError(f"{run.path} is not trained. Train it first, or sweep with --weights fitted.")
    trained = run.is_trained and weights != "fitted"
    with joined() as ranks:
        where = ranks.device(device)
        folder = run.network if trained else run.fitted
        network = StitchedNetwork.from_pretrained(folder, trust_code=trust_code).to(where)
        # Held in memory, every process would decode the images of all.
        source = open_for(network, replace(data, memory=data.memory and ranks.count == 1), "val")
        stitches = chosen_stitches(network.space, options.stitches, seed=seed)
        decided = calibration_options(options, run, trained=trained)
        if on_note and ranks.first:
            for note in _what_lies_beside(run):
                on_note(note)
        if on_start and ranks.first:
            on_start(len(stitches), min(options.images or len(source), len(source)))
        if decided.memory:
            decided = _within(decided.memory, decided, network, stitches)
        plan = SweepPlan(network, source, stitches, data=data, options=decided, seed=seed, ranks=ranks)
        if not overwrite:
            _refuse_to_lose(run.curve if trained else run.curve_fitted, plan)
        # The anchors as they came, on the same images: what joint training did to them.
        fitted = None
        if trained:
            fitted = StitchedNetwork.from_pretrained(run.fitted, trust_code=trust_code).to(where)
        sweeping = Sweeping(run.sweeping, plan.identity(_digests(run, trained=trained)))
        rows, outcomes = plan.measure(
            fitted,
            sweeping,
            on_batch=on_batch if ranks.first else None,
            on_note=on_note if ranks.first else None,
        )
        if ranks.first:
            _write(run, rows, outcomes, trained=trained)
            config = run.read_config()
            part = {name: each for name, each in config["sweep"].items() if name in PART}
            changed = {"data": {**config["data"], "val": data.val}, "sweep": {**asdict(options), **part}}
            run.write_config({**config, **changed})
            sweeping.remove()
        ranks.wait()
    return rows


def _what_lies_beside(run: RunFolder) -> list[str]:
    """A line where the last training left something else than the network that is measured."""
    if checkpoints(run.checkpoints):
        return [f"a training is unfinished ({run.checkpoints}); this measures what there was before it"]
    if run.stopped.is_dir():
        return [
            f"the guard stopped the last training ({run.stopped}); this measures what there was before it"
        ]
    return []


def _refuse_to_lose(file: Path, plan: SweepPlan) -> None:
    """A curve may have taken hours: it makes room unasked for one that measures as much and no less.

    Raises:
        StitchError: The curve has a stitch that is not in the plan, or saw more images.
    """
    try:
        rows = read_curve(file)
    except StitchError:  # there is none, or it is broken
        return
    most = max(row.images for row in rows)
    fewer = not {row.stitch for row in rows} <= set(map(str, plan.stitches))
    if fewer or plan.images < most or (plan.races and not stopped_early(rows)):
        how = " in a race" if plan.races else ""
        raise StitchError(
            f"{file} has {len(rows)} stitches on {most:,} images; this sweep measures "
            f"{len(plan.stitches)} on {plan.images:,}{how}. Pass --overwrite to replace it, or sweep a copy "
            "of the run."
        )


def _within(
    memory: str, options: SweepConfig, network: StitchedNetwork, stitches: Sequence[Stitch]
) -> SweepConfig:
    """The options with batches that keep within a bound, and as many that run together."""
    largest = options.batch_size
    with evaluating(network):
        size = fitting_batch_size(Trie(network, stitches), memory, largest=largest, together=options.together)
    return replace(options, batch_size=size, together=-(-options.together * size // largest))


def _digests(run: RunFolder, *, trained: bool) -> list[str]:
    return [digest_file(each / WEIGHTS) for each in (run.fitted, *([run.network] if trained else []))]


def _write(run: RunFolder, rows: list[CurveRow], outcomes: Outcomes | None, *, trained: bool) -> None:
    file = run.outcomes if trained else run.outcomes_fitted
    file.unlink(missing_ok=True)  # never the answers of another curve
    write_curve(run.curve if trained else run.curve_fitted, rows)
    if outcomes:
        write_outcomes(file, outcomes)
