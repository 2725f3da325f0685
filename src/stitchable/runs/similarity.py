"""What ``stitchable similarity`` does: compare all cuts of some anchors, choose joints, and test them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.check import check_anchor
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.errors import StitchError
from stitchable.network import check_same_images
from stitchable.prediction.tested_joint import AccuracyCorrelation, JointTest, accuracy_correlations
from stitchable.ranks import Ranks, joined
from stitchable.report.similarity_result import SimilarityMap, SimilarityResult
from stitchable.runs.config import DataConfig
from stitchable.runs.fit import load_anchors
from stitchable.runs.inputs import take_inputs_of
from stitchable.runs.similarity_folder import SimilarityFolder
from stitchable.runs.similarity_maps import choose_joints, similarity_at, similarity_maps
from stitchable.runs.similarity_options import SimilarityOptions
from stitchable.runs.tested_joints import (
    JointImages,
    joints_to_test,
    measure_joints,
    open_images_for,
    what_to_test,
)
from stitchable.space.joint import Joint


@dataclass(frozen=True)
class Progress:
    """Who is told of what goes on.

    Attributes:
        start: Called with what begins and its number of images.
        batch: Called with the number of images after each batch.
    """

    start: Callable[[str, int], None] = lambda name, images: None
    batch: Callable[[int], None] = lambda images: None


def measure_similarity(
    texts: Sequence[str],
    options: SimilarityOptions,
    *,
    data: DataConfig,
    out: SimilarityFolder,
    inputs: str | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    trust_code: bool = False,
    progress: Progress | None = None,
) -> SimilarityResult:
    """Compare anchors cut by cut, hold the joints that follow against what they reach, and write it down.

    Under ``torchrun`` all its processes share the batches of images; the first one alone writes and tells.
    All must give the same arguments.

    Args:
        texts: Two anchors or more, see `stitchable.anchors.load.load_anchor`; weights must be named.
        options: See `SimilarityOptions`.
        data: Its ``val`` images are compared and tested on, the joints are fitted to its ``train`` images.
        out: Where to write.
        inputs: Name of the anchor whose images all are to take.
        seed: Of the images' order, the draw of joints, and the intervals of rank correlations.
        device: See `Ranks.device`.
        overwrite: Replace results that the folder holds.
        trust_code: Allow a saved anchor's own architecture file to run.
        progress: Told of what goes on.

    Raises:
        StitchError: An anchor does not load or takes other images, the options do not fit, there are no
            images, or the folder is in use.
    """
    if len(texts) < 2:
        raise StitchError(
            f"Got {len(texts)} anchor. Similarity is of two or more: stitchable similarity A B."
        )
    with joined() as ranks:
        out.check_free(overwrite=overwrite)
        told = progress if progress and ranks.first else Progress()
        anchors = _anchors(texts, inputs, ranks, device=device, trust_code=trust_code)
        outlines = {anchor.name: anchor.outline for anchor in anchors}
        kind, note = what_to_test(anchors, options, data)
        val, train = open_images_for(anchors, kind, data)
        maps, images = _maps(anchors, val, options, data.workers, seed, ranks, told)
        maps, chosen = choose_joints(maps, outlines)
        tested: list[JointTest] = []
        top1: dict[str, float] = {}
        if train is not None:
            joints = joints_to_test(anchors, chosen, kind, seed=seed)
            told.start(f"{len(joints)} joints", min(options.test_images, len(val)))
            given = JointImages(train, val, data, options)
            tested, top1 = measure_joints(anchors, joints, given, seed=seed, ranks=ranks, on_batch=told.batch)
        listed = [*chosen, *(each.joint for each in tested)]
        found = SimilarityResult(
            outlines=dict(sorted(outlines.items(), key=lambda item: item[1].cost.macs)),
            sources=texts,
            options={**asdict(options), "test": kind, "inputs": inputs, "seed": seed, "train": data.train},
            data=str(data.val),
            images=images,
            measures=options.measure_list,
            maps=maps,
            similarity={measure: similarity_at(maps, measure, listed) for measure in options.measure_list},
            chosen=chosen,
            tested=tested,
            anchors_top1=top1,
            note=note,
        )
        found = replace(found, correlations=_correlations(found, seed))
        ranks.wait()  # all have seen the folder as it was
        if ranks.first:
            out.write(found)
        ranks.wait()
    return found


def _anchors(
    texts: Sequence[str], inputs: str | None, ranks: Ranks, *, device: str, trust_code: bool
) -> list[Anchor]:
    anchors = load_anchors(list(texts), trust_code=trust_code)
    names = [anchor.name for anchor in anchors]
    if len(set(names)) < len(names):
        raise StitchError(f"Anchor names must differ; got {', '.join(names)}. Name them like 'small=…'.")
    for anchor in anchors:
        check_anchor(anchor)
    if inputs is not None:
        anchors = take_inputs_of(inputs, anchors)
    check_same_images(anchors)
    where = ranks.device(device)
    return [anchor.to(where) for anchor in anchors]


def _maps(
    anchors: Sequence[Anchor],
    source: ImageSource,
    options: SimilarityOptions,
    workers: int,
    seed: int,
    ranks: Ranks,
    told: Progress,
) -> tuple[list[SimilarityMap], int]:
    loader = image_loader(
        source,
        anchors[0].input_spec,
        batch_size=options.batch_size,
        limit=options.images,
        shuffle_seed=seed,  # groups should be alike
        workers=workers,
        start=ranks.rank,
        every=ranks.count,
    )
    told.start("all cuts", min(options.images, len(source)))
    return similarity_maps(
        {anchor.name: anchor for anchor in anchors},
        (batch for batch, _ in loader),
        options,
        on_batch=told.batch,
        ranks=ranks,
    )


def _correlations(found: SimilarityResult, seed: int) -> list[AccuracyCorrelation]:
    values: dict[str, dict[Joint, float]] = {
        measure: {joint: each.value for joint, each in known.items()}
        for measure, known in found.similarity.items()
    }
    return accuracy_correlations(found.tested, values, seed=seed)
