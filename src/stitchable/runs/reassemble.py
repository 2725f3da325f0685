"""What ``stitchable reassemble`` does: a zoo cut into parts, and a run of the best networks made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from stitchable.evaluation.curve import CurveRow
from stitchable.ranks import joined
from stitchable.reassembly.even_cuts import ROUNDING
from stitchable.reassembly.options import ReassemblyConfig
from stitchable.reassembly.partition import epsilon_by_anchor, partition_zoo
from stitchable.reassembly.parts import Partition
from stitchable.reassembly.program import Assembly
from stitchable.reassembly.ranking import Candidate, Ranking, ranked
from stitchable.reassembly.space import reassembly_space
from stitchable.runs.fit import fit_run, prepared_anchors
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.runs.shortlist import listed_space, shortlist
from stitchable.runs.sweep import sweep_run
from stitchable.runs.zoo_config import ZooConfig
from stitchable.runs.zoo_similarity import zoo_similarity
from stitchable.space.outline import Outline


def reassemble_run(
    run: RunFolder,
    config: ZooConfig,
    *,
    overwrite: bool = False,
    trust_code: bool = False,
    on_note: Callable[[str], None] | None = None,
) -> Ranking:
    """Cut a zoo into parts, make networks of them, and measure the best before any training.

    The similarity of all cuts comes from one pass over training images; from it follow the partition and, for
    additive scores, the shortlist. The shortlist and the anchors become a run: joints are initialised as by
    `fit_run`, and all of it is measured on held-out images, ``curve_fitted.jsonl``. What was cut and chosen
    is in ``reassembly.json``. From there the run is one like any other.

    Under ``torchrun`` all its processes share the batches of images; the first one alone writes and tells.

    Args:
        run: A new folder.
        config: See `ZooConfig`.
        overwrite: Replace the run that the folder holds.
        trust_code: Allow a saved anchor's own architecture file to run.
        on_note: Called with a line when a step is done.

    Raises:
        StitchError: Any of the ingredients is not as it should be, or nothing is within the bounds; until the
            shortlist is fitted, the folder is as before.
    """
    options = config.reassembly
    with joined() as ranks:
        tell = on_note if on_note and ranks.first else lambda line: None
        run.check_free(overwrite=overwrite)
        device = ranks.device(config.device)
        anchors = [each.to(device) for each in prepared_anchors(config.run, trust_code=trust_code)]
        open_for(anchors[0], replace(config.data, memory=False), "val")  # or all would be for nothing
        similarity = ranks.from_first(zoo_similarity(anchors, config, ranks))
        outlines = [anchor.outline for anchor in anchors]
        partition = partition_zoo(
            outlines,
            similarity,
            parts=options.parts,
            epsilon=options.epsilon,
            restarts=options.restarts,
            seed=config.seed,
            size=options.size,
        )
        for line in [*describe_coarse(outlines, options), *describe_partition(partition)]:
            tell(line)
        space = reassembly_space(outlines, partition, order=options.order, positions=options.positions)
        chosen = ranks.from_first(shortlist(anchors, space, similarity, config, ranks))
        tell(f"{len(chosen)} of {space.count - len(anchors):,} new networks are worth a look")
        listed = listed_space(space, [each.stitch for each in chosen])
        fitted = fit_run(run, config.run, anchors, space=listed, overwrite=overwrite)
        for line in fitted.notes:
            tell(line)
        foretold = ranked(partition, [_candidate(each) for each in chosen], [])
        if ranks.first:
            _write(run, foretold, config)
        # Whoever named the anchors has trusted their code: the folder holds no other.
        probe = replace(config.sweep, images=options.probe_images, stitches=None, target="all")
        rows = sweep_run(
            run, data=config.data, options=probe, seed=config.seed, device=config.device, trust_code=True
        )
        found = _measured(partition, chosen, rows, seed=config.seed)
        if ranks.first:
            _write(run, found, config)
        ranks.wait()
    return found


def describe_partition(partition: Partition) -> list[str]:
    """How the zoo was cut, a line for each set of parts.

    Example:
        >>> from stitchable.reassembly.parts import ModelPart
        >>> one, two = ModelPart("a", 0, 2), ModelPart("a", 2, 3)
        >>> for line in describe_partition(Partition({"a": (0, 2, 3)}, {one: 0, two: 1}, (one, two), 4.0)):
        ...     print(line)
        parts of set 1, like a[0:2]: a[0:2]
        parts of set 2, like a[2:3]: a[2:3]
    """
    return [
        f"parts of set {number + 1}, like {medoid}: "
        + ", ".join(str(part) for part in partition.parts if partition.sets[part] == number)
        for number, medoid in enumerate(partition.medoids)
    ]


def describe_coarse(outlines: Sequence[Outline], options: ReassemblyConfig) -> list[str]:
    """Which anchors cannot be cut as evenly as was asked for, a line each."""
    found = epsilon_by_anchor(outlines, parts=options.parts, epsilon=options.epsilon, size=options.size)
    return [
        f"{name}: blocks are too coarse for epsilon {options.epsilon:g}; its parts are within {own:.2g} of "
        "an even share"
        for name, own in found.items()
        if own > options.epsilon + ROUNDING
    ]


def _candidate(each: Assembly) -> Candidate:
    return Candidate(str(each.stitch), each.macs, each.params, each.score)


def _measured(
    partition: Partition, chosen: Sequence[Assembly], rows: Sequence[CurveRow], *, seed: int
) -> Ranking:
    scores = {str(each.stitch): each.score for each in chosen}
    found = [
        Candidate(
            row.stitch,
            row.macs,
            row.params,
            scores.get(row.stitch),
            row.top1,
            row.top1_low,
            row.top1_high,
        )
        for row in rows
    ]
    new = [each for each in found if each.score is not None]
    return ranked(partition, new, [each for each in found if each.score is None], seed=seed)


def _write(run: RunFolder, found: Ranking, config: ZooConfig) -> None:
    beside = run.reassembly.with_name(run.reassembly.name + ".partial")
    options = {**asdict(config.reassembly), "seed": config.seed, "anchors": config.run.anchor_texts}
    beside.write_text(json.dumps(found.to_dict(options), indent=1) + "\n", encoding="utf-8")
    beside.replace(run.reassembly)
