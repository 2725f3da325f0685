"""All pairs of cuts of two anchors in one pass over the images, against computing them pair by pair.

The same images of CIFAR-10, the same pooled features, the same numbers. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from record import machine, median_interval, print_table, write
from stitchable.anchors.load import load_anchor
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.data.sources import open_images
from stitchable.feature import Cut
from stitchable.initialization.fit import cut_features
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.similarity.canonical import cca, pwcca, svcca
from stitchable.similarity.cka import biased_linear_cka, linear_cka
from stitchable.similarity.pair import Measure
from stitchable.similarity.procrustes import procrustes
from stitchable.similarity.regression import linear_r2
from stitchable.similarity.rows import FROM_MOMENTS
from stitchable.similarity.sums import SimilaritySums
from stitchable.space.build import SpaceOptions

DATA = Path("../shared/data")
TIMED: tuple[Measure, ...] = ("cka", "r2")
PLAIN: dict[Measure, Callable[[Tensor, Tensor], float]] = {
    "cka": linear_cka,
    "cka_biased": biased_linear_cka,
    "cca": cca,
    "svcca": svcca,
    "pwcca": pwcca,
    "procrustes": procrustes,
    "r2": linear_r2,
}
Pair = tuple[Cut, Cut]


@dataclass(frozen=True)
class Setting:
    """What both ways of computing are given."""

    network: StitchedNetwork
    source: ImageSource
    images: int
    batch_size: int

    @property
    def pairs(self) -> list[Pair]:
        """Every cut of the first anchor with every cut of the second."""
        fronts, ends = (
            [(name, cut) for cut in range(len(outline.features))]
            for name, outline in self.network.space.outlines.items()
        )
        return list(product(fronts, ends))

    @torch.no_grad()
    def features(self, cuts: Sequence[Cut]) -> Iterator[dict[Cut, Tensor]]:
        """Read the images and run the anchors, as far as some cuts."""
        loader = image_loader(
            self.source, self.network.input_spec, batch_size=self.batch_size, limit=self.images
        )
        with evaluating(self.network):
            for images, _ in loader:
                yield cut_features(self.network.anchors, cuts, images)

    def sums(self, measures: Sequence[Measure], *, groups: int) -> SimilaritySums:
        """Of all pairs, and no images yet."""
        outlines = self.network.space.outlines
        specs = {name: outline.features for name, outline in outlines.items()}
        return SimilaritySums(specs, self.pairs, measures=measures, groups=groups)

    def held(self, cuts: Sequence[Cut]) -> dict[Cut, Tensor]:
        """Pooled features of all images at once, float64."""
        parts: dict[Cut, list[Tensor]] = {cut: [] for cut in cuts}
        for features in self.features(cuts):
            for cut, x in features.items():
                parts[cut].append(x.double().mean((2, 3)))
        return {cut: torch.cat(each) for cut, each in parts.items()}


def setting(images: int, batch_size: int) -> Setting:
    """ResNet-20 and ResNet-56 with their published weights, on test images."""
    text = "examples/cifar_resnets.py:resnet{0}@{1}/cifar10_resnets/resnet{0}.safetensors"
    anchors = [load_anchor(text.format(depth, DATA)) for depth in (20, 56)]
    network = StitchedNetwork(anchors, SpaceOptions(stages=(0, 1, 2), sharing="none"))
    return Setting(network, open_images(str(DATA / "cifar10/test.parquet")), images, batch_size)


def in_one_pass(given: Setting, measures: Sequence[Measure], *, groups: int) -> tuple[SimilaritySums, float]:
    """This library's sums of all pairs, and the seconds that they took."""
    began = time.perf_counter()
    sums = given.sums(measures, groups=groups)
    for features in given.features(sums.cuts):
        sums.update(features)
    return sums, time.perf_counter() - began


def pair_alone(given: Setting, pair: Pair) -> float:
    """Seconds of reading the images, running both anchors to the pair's cuts, and comparing the features."""
    began = time.perf_counter()
    held = given.held(pair)
    for measure in TIMED:
        PLAIN[measure](held[pair[0]], held[pair[1]])
    return time.perf_counter() - began


def timed(given: Setting, sample: int) -> dict[str, Any]:
    """Both ways, of which the second is measured on evenly spaced pairs and multiplied."""
    in_one_pass(Setting(given.network, given.source, given.batch_size, given.batch_size), TIMED, groups=0)
    sums, passing = in_one_pass(given, TIMED, groups=0)
    began = time.perf_counter()
    sums.values()
    solving = time.perf_counter() - began
    everything, passing_all = in_one_pass(given, FROM_MOMENTS, groups=10)
    began = time.perf_counter()
    everything.values()
    solving_all = time.perf_counter() - began
    chosen = [given.pairs[len(given.pairs) * (2 * number + 1) // (2 * sample)] for number in range(sample)]
    seconds = [pair_alone(given, pair) for pair in chosen]
    apart = sum(seconds) / sample * len(given.pairs)
    return {
        "images": given.images,
        "batch_size": given.batch_size,
        "measures": TIMED,
        "pairs": len(given.pairs),
        "seconds": passing + solving,
        "seconds_of_values": solving,
        "seconds_with_all_measures_and_intervals": passing_all + solving_all,
        "seconds_of_all_values_and_intervals": solving_all,
        "pairs_timed_alone": [[list(cut) for cut in pair] for pair in chosen],
        "seconds_of_a_pair": median_interval(seconds),
        "seconds_pair_by_pair_extrapolated": apart,
        "speed_up": apart / (passing + solving),
        "bytes_of_sums": sums.nbytes,
        "bytes_of_sums_with_intervals": everything.nbytes,
    }


def differences(given: Setting) -> dict[str, float]:
    """By measure the largest difference to the plain function of all rows, over all pairs."""
    sums, _ = in_one_pass(given, FROM_MOMENTS, groups=0)
    held = given.held(sums.cuts)
    found = dict.fromkeys(PLAIN, 0.0)
    for each in sums.values():
        plain = PLAIN[each.measure](held[each.front], held[each.end])
        found[each.measure] = max(found[each.measure], abs(each.value - plain))
    return {str(measure): value for measure, value in found.items()}


def peak_memory(images: int, batch_size: int) -> float:
    """Peak of a process of its own that passes so many images, in 10⁶ bytes."""
    command = [sys.executable, __file__, "--memory", str(images), "--batch_size", str(batch_size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def print_peak(given: Setting) -> None:
    """Pass all images, with intervals, and say the peak of this process."""
    sums, _ = in_one_pass(given, TIMED, groups=10)
    sums.values()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)  # Linux counts in KiB


def main() -> None:
    """Measure what is not measured yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/similarity.json"))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument("--sample", type=int, default=8, help="pairs that are timed alone")
    parser.add_argument("--memory", type=int, help="only pass so many images and print the peak")
    given = parser.parse_args()
    if given.memory is not None:
        print_peak(setting(given.memory, given.batch_size))
        return
    content: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    content |= {"benchmark": "similarity", "machine": machine()}
    if "memory" not in content:  # before this process is large itself
        sizes = (given.images // 10, given.images)
        content["memory"] = {str(size): peak_memory(size, given.batch_size) for size in sizes}
        write(given.out, content)
    both = setting(given.images, given.batch_size)
    if "time" not in content:
        content["time"] = timed(both, given.sample)
        write(given.out, content)
    if "differences" not in content:
        content["differences"] = differences(both)
        write(given.out, content)
    seconds = content["time"]
    print_table(
        ["pairs", "in one pass, s", "pair by pair, s (extrapolated)", "faster", "all measures, intervals, s"],
        [
            [
                str(seconds["pairs"]),
                f"{seconds['seconds']:.1f}",
                f"{seconds['seconds_pair_by_pair_extrapolated']:.0f}",
                f"{seconds['speed_up']:.0f}",
                f"{seconds['seconds_with_all_measures_and_intervals']:.1f}",
            ]
        ],
    )
    print_table(["images", "peak, MB"], [[n, f"{peak:.0f}"] for n, peak in content["memory"].items()])
    print_table(
        ["measure", "largest difference to one shot"],
        [[measure, f"{value:.1e}"] for measure, value in content["differences"].items()],
    )


if __name__ == "__main__":
    main()
