"""Reassembly of a zoo: a stable partition, the optimum of the program, and what the networks reach.

Networks made of parts are fine-tuned one by one, and so are the best anchor within the budget and random
networks of the same parts, all on as many images. What is chosen sees one half of the test images, what is
reported the other. Results are written as soon as they are there, and what is written is skipped. See
README.md beside this file.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import nn

from joint_training import interval, test_images
from record import machine, print_table, write
from stitchable.anchors.anchor import Anchor
from stitchable.cli.arguments import command_parser, parse
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.data.memory import hold_in_memory
from stitchable.data.subset import set_aside
from stitchable.evaluation.extract import extract_calibrated
from stitchable.evaluation.module import tally_module
from stitchable.input_spec import InputSpec
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE
from stitchable.reassembly.agreement import partition_agreement
from stitchable.reassembly.partition import partition_zoo
from stitchable.reassembly.parts import Partition
from stitchable.reassembly.program import best_assemblies
from stitchable.reassembly.ranking import Ranking
from stitchable.reassembly.space import reassembly_space
from stitchable.runs.calibration import calibration_batches
from stitchable.runs.fit import fit_run, prepared_anchors
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for, training_batches
from stitchable.runs.reassemble import reassemble_run
from stitchable.runs.shortlist import additive_scores, listed_space
from stitchable.runs.zoo_config import ZooConfig
from stitchable.runs.zoo_similarity import anchor_top1, zoo_similarity
from stitchable.space.band import CostBand
from stitchable.stitch import Stitch
from stitchable.training.finetune import finetune
from stitchable.training.options import FinetuneOptions
from stitchable.units import parse_count

RANDOM = 2  # networks drawn for each budget and seed


@dataclass(frozen=True)
class Trial:
    """One seed of the whole: the zoo as it is cut then.

    Attributes:
        config: Of the zoo, with the seed; its ``val`` images are those to choose by.
        test: The images that the result is measured on.
        test_images: How many of these; all where it is ``None``.
        folder: Of the runs.
    """

    config: ZooConfig
    test: Path
    test_images: int | None
    folder: Path

    @cached_property
    def anchors(self) -> list[Anchor]:
        """The zoo."""
        return prepared_anchors(self.config.run)

    @cached_property
    def similarity(self) -> dict[Any, float]:
        """Of all its cuts, on images of this seed."""
        return zoo_similarity(self.anchors, self.config, ALONE)

    def partition(self, seed: int | None = None) -> Partition:
        """Of this seed's images; the draws may be of another seed."""
        options = self.config.reassembly
        return partition_zoo(
            [anchor.outline for anchor in self.anchors],
            self.similarity,
            parts=options.parts,
            epsilon=options.epsilon,
            restarts=options.restarts,
            seed=self.config.seed if seed is None else seed,
            size=options.size,
        )

    def reassembled(self, macs: int, score: str) -> tuple[RunFolder, Ranking]:
        """What ``stitchable reassemble`` makes of it within a budget."""
        run = RunFolder(self.folder / f"{score}_{macs}_{self.config.seed}")
        options = replace(self.config.reassembly, macs=macs, score=score)
        config = replace(self.config, reassembly=options)
        return run, reassemble_run(run, config, overwrite=run.path.is_dir())

    def drawn(self, macs: int) -> tuple[RunFolder, list[str]]:
        """Random networks of the same parts, as dear as that: uniform from four fifths of the budget on."""
        options = self.config.reassembly
        outlines = [anchor.outline for anchor in self.anchors]
        space = reassembly_space(outlines, self.partition(), order=options.order, positions=options.positions)
        band, chosen = CostBand(space, macs * 4 // 5, macs), dict[Stitch, None]()
        for attempt in range(1000):
            stitch = band.draw("random reassembly", self.config.seed, attempt)
            if stitch.joints and len(chosen) < RANDOM:
                chosen.setdefault(stitch)
        if len(chosen) < RANDOM:
            raise SystemExit(f"Fewer than {RANDOM} networks have {macs * 4 // 5:,} to {macs:,} MACs.")
        run = RunFolder(self.folder / f"random_{macs}_{self.config.seed}")
        listed = listed_space(space, list(chosen))
        fit_run(run, self.config.run, self.anchors, space=listed, overwrite=run.path.is_dir())
        return run, [str(stitch) for stitch in chosen]


def stability(trials: Sequence[Trial], seeds: int) -> dict[str, Any]:
    """Adjusted Rand indices between partitions: of other draws, and of other images."""
    drawn = [trials[0].partition(seed) for seed in range(seeds)]
    single = replace(trials[0].config.reassembly, restarts=1)
    once = replace(trials[0], config=replace(trials[0].config, reassembly=single))
    once.__dict__.update(anchors=trials[0].anchors, similarity=trials[0].similarity)

    def between(partitions: Sequence[Partition]) -> dict[str, float]:
        found = [partition_agreement(a, b) for a, b in itertools.combinations(partitions, 2)]
        scores = [each.score for each in partitions]
        return {"mean": mean(found), "least": min(found), "score_low": min(scores), "score_high": max(scores)}

    found = {
        f"{seeds} seeds of draws": between(drawn),
        f"{seeds} seeds of draws, one start": between([once.partition(seed) for seed in range(seeds)]),
    }
    if len(trials) > 1:
        found[f"{len(trials)} seeds of images"] = between([trial.partition() for trial in trials])
    cuts = {name: list(given) for name, given in drawn[0].cuts.items()}
    sets = {str(part): number for part, number in drawn[0].sets.items()}
    return {**found, "cuts": cuts, "sets": sets}


def optimality(trial: Trial, budgets: Sequence[int], top: int = 10) -> dict[str, Any]:
    """The program's best against all networks of the zoo, one by one."""
    outlines = [anchor.outline for anchor in trial.anchors]
    space = reassembly_space(outlines, trial.partition(), order="any")
    scores = additive_scores(trial.anchors, space, trial.similarity, trial.config)
    found: dict[str, Any] = {"networks": space.count, "joints": len(space.joints)}
    for macs in budgets:
        began = time.perf_counter()
        best = best_assemblies(space, scores, macs=macs, top=top)
        solved = time.perf_counter()
        force = sorted(
            (scores.of(space, each) for each in space if space.cost(each).macs <= macs), reverse=True
        )
        ended = time.perf_counter()
        difference = max(abs(each.score - value) for each, value in zip(best, force, strict=False))
        found[f"{macs:,} MACs"] = {
            "equal": len(best) == min(top, len(force)) and difference < 1e-6,
            "difference": difference,
            "program_seconds": round(solved - began, 3),
            "brute_force_seconds": round(ended - solved, 3),
        }
    return found


def module_of(run: RunFolder, stitch: str, config: ZooConfig) -> nn.Module:
    """One stitch alone, with the BatchNorm statistics that the sweep measures it with."""
    network = StitchedNetwork.from_pretrained(run.fitted, trust_code=True)
    batches = calibration_batches(network, [network.space.stitch(stitch)], config.data, config.sweep)
    return network.extract(stitch) if batches is None else extract_calibrated(network, stitch, batches)


def measured(module: nn.Module, spec: InputSpec, source: ImageSource, images: int | None) -> float:
    """Top-1 in percent."""
    found = tally_module(module, image_loader(source, spec, batch_size=250, limit=images))
    return 100 * found.correct / found.images


def fine_tuned(
    module: nn.Module, trial: Trial, options: FinetuneOptions, images: int | None
) -> dict[str, Any]:
    """Train one network, and measure it before and after on images that nobody chose by."""
    anchor, config = trial.anchors[0], trial.config
    train = open_for(anchor, config.data, "train")
    if images is not None and images < len(train):
        train = hold_in_memory(set_aside(train, images)[1])
    test = open_for(anchor, replace(config.data, val=str(trial.test)), "val")
    batches, steps = training_batches(train, anchor.input_spec, options, seed=config.seed, workers=0)
    before = measured(module, anchor.input_spec, test, trial.test_images)
    began = time.perf_counter()
    joints = [name for name, _ in module.named_parameters() if name.startswith("layers.")]
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for _ in finetune(module, batches, head=joints, steps_per_epoch=steps, options=options):
            pass
    seconds = time.perf_counter() - began
    after = measured(module, anchor.input_spec, test, trial.test_images)
    return {"before": before, "after": after, "seconds": round(seconds, 1)}


def compare(
    trial: Trial,
    macs: int,
    scores: Sequence[str],
    tune: Callable[[nn.Module], dict[str, Any]],
    done: Callable[[str], bool],
    keep: Callable[[str, dict[str, Any]], None],
) -> None:
    """Every arm of one budget and seed that has not been measured."""

    def network(arm: str, run: RunFolder, stitch: str) -> None:
        cost = StitchedNetwork.from_pretrained(run.fitted, trust_code=True).cost(stitch)
        about = {"stitch": stitch, "macs": cost.macs, "params": cost.params}
        keep(arm, {**about, **tune(module_of(run, stitch, trial.config))})

    if not done("best anchor"):
        top1 = anchor_top1(trial.anchors, trial.config)
        costs = {anchor.name: anchor.outline.cost for anchor in trial.anchors}
        affordable = [name for name, cost in costs.items() if cost.macs <= macs]
        name = max(affordable, key=lambda each: top1[each])
        about = {"stitch": name, "macs": costs[name].macs, "params": costs[name].params}
        alone = {anchor.name: anchor for anchor in trial.anchors}[name]
        keep("best anchor", {**about, **tune(copy.deepcopy(alone))})
    for score in scores:
        arm = f"reassembled by {score}"
        if not done(arm):
            run, ranking = trial.reassembled(macs, score)
            network(arm, run, ranking.candidates[0].stitch)
    wanted = [f"random {number}" for number in range(RANDOM)]
    if not all(map(done, wanted)):
        run, stitches = trial.drawn(macs)
        for arm, stitch in zip(wanted, stitches, strict=True):
            if not done(arm):
                network(arm, run, stitch)


def zoo_config(given: argparse.Namespace, seed: int) -> ZooConfig:
    """The zoo's file with the benchmark's images."""
    parser = command_parser("reassemble", "")
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ZooConfig)
    choose = test_images(given.runs, "first")
    words = ["--config", str(given.zoo), "--data.val", str(choose), "--seed", str(seed), *given.set.split()]
    arguments = parse(parser, words)
    return ZooConfig(**{name: arguments[name] for name in ZooConfig.__dataclass_fields__})


def show(results: dict[str, Any]) -> None:
    """A line per budget and arm, means over the seeds with intervals; random networks are taken together."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in sorted(results.values(), key=lambda each: float(each["budget"].rstrip("M"))):
        arm = "random" if each["arm"].startswith("random") else each["arm"]
        groups.setdefault(f"{each['budget']}: {arm}", []).append(each)
    lines = []
    for name, found in groups.items():
        cells = [interval([each[column] for each in found]) for column in ("before", "after")]
        lines.append([name, str(len(found)), *cells, f"{mean(each['macs'] for each in found) / 1e6:.1f}"])
    print_table(["budget and arm", "networks", "top-1 before", "after fine-tuning", "MMACs"], lines)


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reassembly.json"))
    parser.add_argument("--runs", type=Path, default=Path("runs/reassembly"), help="folder of the runs")
    parser.add_argument("--zoo", type=Path, default=Path("recipes/cifar10_zoo.yaml"))
    parser.add_argument("--set", default="", help="further keys, as in --set='--reassembly.images 500'")
    parser.add_argument("--budgets", nargs="+", default=["60M", "100M"], help="MACs")
    parser.add_argument("--scores", nargs="+", default=["additive", "naswot"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images-per-epoch", type=int, default=None, help="training images; all by default")
    parser.add_argument("--test-images", type=int, default=None, help="of the last half; all by default")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--partition-seeds", type=int, default=10)
    given = parser.parse_args()
    content: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    content |= {"benchmark": "reassembly", "zoo": str(given.zoo), "machine": machine()}
    results: dict[str, Any] = content.setdefault("results", {})
    test = test_images(given.runs, "last")
    trials = [Trial(zoo_config(given, seed), test, given.test_images, given.runs) for seed in given.seeds]
    budgets = [parse_count(each, "MACs") for each in given.budgets]
    for name, make in (
        ("stability", lambda: stability(trials, given.partition_seeds)),
        ("optimality", lambda: optimality(trials[0], budgets)),
    ):
        if name not in content:
            content[name] = make()
            write(given.out, content)
    options = FinetuneOptions(
        epochs=given.epochs,
        batch_size=64,
        lr=given.lr,
        head_lr=10 * given.lr,  # of the stitching layers
        head_epochs=0,
        label_smoothing=0.0,
        autocast="bfloat16",
    )
    for trial, macs in itertools.product(trials, budgets):
        images = given.images_per_epoch or "all"
        about = f"seed {trial.config.seed}; {given.epochs} epochs of {images} images"

        def key(arm: str, about: str = about, macs: int = macs) -> str:
            return f"{macs:,} MACs; {arm}; {about}"

        def keep(
            arm: str,
            found: dict[str, Any],
            key: Callable[[str], str] = key,
            trial: Trial = trial,
            macs: int = macs,
        ) -> None:
            told = {"budget": f"{macs / 1e6:g}M", "arm": arm, "seed": trial.config.seed}
            results[key(arm)] = {**told, **found}
            write(given.out, content)

        def tune(module: nn.Module, trial: Trial = trial) -> dict[str, Any]:
            return fine_tuned(module, trial, options, given.images_per_epoch)

        compare(trial, macs, given.scores, tune, lambda arm, key=key: key(arm) in results, keep)
    print(json.dumps({name: content[name] for name in ("stability", "optimality")}, indent=1))
    show(results)


if __name__ == "__main__":
    main()
