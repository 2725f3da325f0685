"""The first step of a run: join anchors and initialise the stitching layers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import load_anchor
from stitchable.errors import StitchError
from stitchable.initialization.fit import LayerFit, fit_least_squares
from stitchable.initialization.held_out import RIDGES, fit_held_out
from stitchable.network import StitchedNetwork, check_compatible
from stitchable.ranks import Ranks, joined
from stitchable.runs.config import RunConfig
from stitchable.runs.correction import ClassifierFit, correct_run
from stitchable.runs.fit_choices import describe_choice, describe_correction
from stitchable.runs.fit_images import FitImages
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.runs.inputs import conversion_effect, take_inputs_of
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.prune import PruneRule, prune
from stitchable.space.space import StitchingSpace


@dataclass(frozen=True)
class Fitted:
    """What `fit_run` made.

    Attributes:
        network: With its stitching layers initialised.
        layers: R² per layer; empty for Kaiming.
        notes: Lines worth telling, such as what pruning dropped and what was chosen on held-out images.
        classifiers: What became of the joints' own classifiers, where ``fit.correct`` asks for them.
    """

    network: StitchedNetwork
    layers: list[LayerFit]
    notes: list[str]
    classifiers: list[ClassifierFit]


def make_space(
    anchors: list[Anchor], options: SpaceOptions, rules: list[PruneRule]
) -> tuple[StitchingSpace, list[str]]:
    """Build and prune the space of some anchors; the second value says what pruning dropped."""
    space = build_space([anchor.outline for anchor in anchors], options)
    if not rules:
        return space, []
    pruned = prune(space, rules)
    return pruned.space, [pruned.describe()]


def load_anchors(texts: list[str], *, structure_only: bool = False, trust_code: bool = False) -> list[Anchor]:
    """Load two or more anchors from their texts.

    Args:
        texts: See `stitchable.anchors.load.load_anchor`; weights must be named.
        structure_only: Read no weights; enough for shapes and costs.
        trust_code: Allow a saved anchor's own architecture file to run.

    Raises:
        StitchError: An anchor cannot be loaded, or lacks weights.
    """
    if len(texts) < 2:
        raise StitchError(f"Got {len(texts)} anchors. Name two or more: --anchors small,large.")
    return [
        load_anchor(text, need_weights=True, structure_only=structure_only, trust_code=trust_code)
        for text in texts
    ]


def prepared_anchors(
    config: RunConfig, anchors: list[Anchor] | None = None, *, trust_code: bool = False
) -> list[Anchor]:
    """The anchors of a run: checked, and with the images that all are to take.

    Args:
        config: Its ``anchors`` are loaded where none are given, and take the images of its ``inputs``.
        anchors: Anchors that are loaded already.
        trust_code: Allow a saved anchor's own architecture file to run.

    Raises:
        StitchError: One of them is not what it says it is, or they do not go together.
    """
    if anchors is None:
        anchors = load_anchors(config.anchor_texts, trust_code=trust_code)
    for anchor in anchors:
        check_anchor(anchor)
    if config.inputs is not None:
        anchors = take_inputs_of(config.inputs, anchors)
    check_compatible(anchors)  # says more of unlike anchors than their space can
    return anchors


def fit_run(
    run: RunFolder,
    config: RunConfig,
    anchors: list[Anchor] | None = None,
    *,
    space: StitchingSpace | None = None,
    overwrite: bool = False,
    trust_code: bool = False,
) -> Fitted:
    """Build a network and initialise its stitching layers; write ``fitted/``, ``fit.json``, ``config.yaml``.

    Under ``torchrun`` all its processes share the batches of images, see `stitchable.ranks.joined`; the first
    one alone writes. All must give the same arguments.

    Args:
        run: A new folder.
        config: Its ``anchors`` are loaded where none are given.
        anchors: Anchors that are loaded already.
        space: The paths, where they do not follow from ``config``, which then says so; ``anchors`` are
            those of it, as `prepared_anchors` gives them.
        overwrite: Replace the run that the folder holds.
        trust_code: Allow a saved anchor's own architecture file to run.

    Raises:
        StitchError: Any of the ingredients is not as it should be; the folder is then as before.
    """
    with joined() as ranks:
        run.check_free(overwrite=overwrite)
        notes: list[str] = []
        if space is None or anchors is None:
            anchors = prepared_anchors(config, anchors, trust_code=trust_code)
        if space is None:
            space, notes = make_space(anchors, config.space, config.prune)
        else:
            config = replace(config, space=SpaceOptions(rule="given"), prune=[])
        network = StitchedNetwork(anchors, space, seed=config.seed).to(ranks.device(config.device))
        notes += _conversions(network, config, ranks)
        layers: list[LayerFit] = []
        classifiers: list[ClassifierFit] = []
        if config.fit.initialization == "least_squares":
            layers, classifiers, told = fit_layers(network, config, ranks)
            notes += told
        ranks.wait()  # all have seen the folder as it was
        if ranks.first:
            _write(run, config, network, layers)
        ranks.wait()
    return Fitted(network, layers, notes, classifiers)


def fit_layers(
    network: StitchedNetwork, config: RunConfig, ranks: Ranks
) -> tuple[list[LayerFit], list[ClassifierFit], list[str]]:
    """Solve for the layers, and for what is corrected behind them; what was chosen is told in lines.

    Args:
        network: Its stitching layers are set.
        config: Of how many ``train`` images, and how.
        ranks: The processes that share the batches.

    Raises:
        StitchError: The images do not fit the anchors, or are too few.
    """
    source = open_for(network, replace(config.data, memory=False), "train")  # few images are read
    options, images = config.fit, FitImages(source, network, config, ranks)
    if not isinstance(options.ridge, str) and not options.chooses:
        layers = fit_least_squares(
            network,
            images.all(),
            ridge=options.ridge,
            match_variance=options.match_variance,
            ranks=ranks,
        )
        notes: list[str] = []
    else:
        made = fit_held_out(
            network,
            images.held_out(),
            images.parts(),
            ridges=RIDGES if isinstance(options.ridge, str) else (options.ridge,),
            match_variance=options.match_variance,
            ranks=ranks,
        )
        layers, notes = made.layers, describe_choice(made, options)
    if options.correct == "none" or not layers:
        return layers, [], notes
    seen = replace(config, fit=replace(options, images=layers[0].images))
    classifiers = correct_run(network, source, seen, ranks)
    return layers, classifiers, [*notes, describe_correction(classifiers)]


def _write(run: RunFolder, config: RunConfig, network: StitchedNetwork, layers: Sequence[LayerFit]) -> None:
    network.save_pretrained(run.fitted)  # refuses before it writes; the old run goes after that
    _forget(run)
    run.fit_file.write_text(
        json.dumps([asdict(layer) for layer in layers], indent=1) + "\n", encoding="utf-8"
    )
    run.write_config(config)


def _conversions(network: StitchedNetwork, config: RunConfig, ranks: Ranks) -> list[str]:
    """What the anchors that convert their images lose by it, a line each."""
    converting = [a for a in network.anchors.values() if a.own_input.mismatch(a.input_spec)]
    if not converting:
        return []
    if config.data.val is None:
        names = ", ".join(anchor.name for anchor in converting)
        return [f"{names} converts its images; name --data.val to see what that costs."]
    source = open_for(network, config.data, "val")
    mine = (converting[number] for number in ranks.share(len(converting)))
    return list(
        ranks.in_turn(conversion_effect(anchor, source, workers=config.data.workers) for anchor in mine)
    )


def _forget(run: RunFolder) -> None:
    for folder in (run.network, run.stopped, run.checkpoints, run.best, run.sweeping):
        shutil.rmtree(folder, ignore_errors=True)
    for path in (
        run.train_file,
        run.training_file,
        run.guard_file,
        run.guarding_file,
        run.train_summary_file,
        run.curve,
        run.curve_fitted,
        run.outcomes,
        run.outcomes_fitted,
        run.profile,
        run.search,
        run.reassembly,
        run.report,
        *run.figures,
    ):
        path.unlink(missing_ok=True)
