"""The sweep against one pass per stitch, as the released code makes them; and how its cost grows.

Both read, decode and normalise the same images of CIFAR-10 and give every image's answer. See README.md
beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from record import machine, print_table, write
from stitchable.anchors.anchor import Anchor
from stitchable.anchors.load import load_anchor
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.data.sources import open_images
from stitchable.evaluation.answers import Answers
from stitchable.evaluation.sweep import measure
from stitchable.evaluation.trie import Trie
from stitchable.initialization.fit import fit_least_squares
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.space.build import SpaceOptions
from stitchable.space.tree import shared_macs

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from train_cifar_vits import build

DATA = Path("../shared/data")
CLASSES = [str(number) for number in range(10)]
Found = NDArray[np.int32]


def resnets(*depths: int) -> Callable[[], list[Anchor]]:
    """CIFAR ResNets with their published weights."""
    text = "examples/cifar_resnets.py:resnet{0}@{1}/cifar10_resnets/resnet{0}.safetensors"
    return lambda: [load_anchor(text.format(depth, DATA)) for depth in depths]


def vits() -> list[Anchor]:
    """Three plain ViTs of depth 12, random weights."""
    return [build("cpu", name, classes=CLASSES, seed=0) for name in ("tiny", "small", "base")]


STAGES = (0, 1, 2)
FAMILIES: dict[str, tuple[Callable[[], list[Anchor]], SpaceOptions]] = {
    "ResNet-20/32/44/56, nearest": (resnets(20, 32, 44, 56), SpaceOptions(stages=STAGES, sharing="none")),
    "ResNet-20/32/44/56, all pairs": (
        resnets(20, 32, 44, 56),
        SpaceOptions(stages=STAGES, sharing="none", pairs="all"),
    ),
    "three plain ViTs, nearest": (vits, SpaceOptions()),
}
GROWING: dict[str, tuple[Callable[[], list[Anchor]], SpaceOptions]] = {
    **{
        f"ResNet-{'/'.join(map(str, depths))}": (
            resnets(*depths),
            SpaceOptions(stages=STAGES, sharing="none", pairs="all"),
        )
        for depths in ((20, 32), (20, 56), (20, 32, 44), (20, 32, 44, 56))
    },
    "ResNet-20/56, up to two joints both ways": (
        resnets(20, 56),
        SpaceOptions(stages=STAGES, sharing="none", direction="both", joints=2),
    ),
    "two plain ViTs": (lambda: vits()[:2], SpaceOptions()),
    "three plain ViTs": (vits, SpaceOptions()),
    "three plain ViTs, windows of 4": (vits, SpaceOptions(kernel=4)),
}


class Reading:
    """The images, in batches, and how often each was read."""

    def __init__(
        self, source: ImageSource, network: StitchedNetwork, *, images: int, batch_size: int
    ) -> None:
        self._source, self._spec = source, network.input_spec
        self._images, self._batch_size = images, batch_size
        self.images = 0

    def __call__(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches from a number on."""
        loader = image_loader(
            self._source, self._spec, batch_size=self._batch_size, limit=self._images, start=start
        )
        for images, labels in loader:
            self.images += len(images)
            yield images, labels


@torch.no_grad()
def one_pass_per_stitch(network: StitchedNetwork, batches: Reading) -> Found:
    """Every stitch reads the data and runs from its first block."""
    rows = [
        torch.cat([network(images, stitch).argmax(1) for images, _ in batches()]) for stitch in network.space
    ]
    return torch.stack(rows).numpy().astype(np.int32)


def in_one_reading(network: StitchedNetwork, batches: Reading, *, together: int = 0) -> Found:
    """This library's sweep."""
    trie = Trie(network, list(network.space))
    answers = Answers(len(trie))
    measure(answers, [trie], batches, together=together)
    return answers.outcomes([str(each) for each in network.space]).predicted


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and what it gives."""
    began = time.perf_counter()
    value = call()
    return time.perf_counter() - began, value


def compare(network: StitchedNetwork, source: ImageSource, *, images: int, batch_size: int) -> dict[str, Any]:
    """One line of the first table."""
    stitches, macs = list(network.space), shared_macs(network.space, list(network.space))

    def reading() -> Reading:
        return Reading(source, network, images=images, batch_size=batch_size)

    with evaluating(network):
        in_one_reading(network, Reading(source, network, images=batch_size, batch_size=batch_size))  # warm
        read_seconds, _ = timed(lambda: sum(1 for _ in reading()()))
        once, again = reading(), reading()
        seconds, ours = timed(lambda: in_one_reading(network, once))
        apart_seconds, theirs = timed(lambda: one_pass_per_stitch(network, again))
        together_seconds, third = timed(lambda: in_one_reading(network, reading(), together=8 * batch_size))
    # What is not reading is computing, and goes with the MACs.
    computing = apart_seconds - len(stitches) * read_seconds
    predicted = apart_seconds / (read_seconds + computing * macs.run / macs.alone)
    return {
        "stitches": len(stitches),
        "images": images,
        "batch_size": batch_size,
        "seconds": seconds,
        "seconds_one_pass_per_stitch": apart_seconds,
        "seconds_together": together_seconds,
        "seconds_reading_once": read_seconds,
        "gmacs": macs.run * images / 1e9,
        "gmacs_one_pass_per_stitch": macs.alone * images / 1e9,
        "images_read": once.images,
        "images_read_one_pass_per_stitch": again.images,
        "answers_that_differ": int((ours != theirs).sum()),
        "answers_that_differ_together": int((third != theirs).sum()),
        "speed_up": apart_seconds / seconds,
        "speed_up_predicted": predicted,
        "met": apart_seconds / seconds / predicted,
    }


def growth(network: StitchedNetwork, source: ImageSource, *, images: int, batch_size: int) -> dict[str, Any]:
    """One point of the figure: MACs of a sweep in passes of the dearest anchor, and its seconds."""
    macs = shared_macs(network.space, list(network.space))
    dearest = max(network.cost(name).macs for name in network.anchors)
    with evaluating(network):
        batches = Reading(source, network, images=images, batch_size=batch_size)
        in_one_reading(network, batches)
        seconds, _ = timed(lambda: in_one_reading(network, batches))
    return {
        "anchors": len(network.anchors),
        "blocks": sum(len(each.stages) for each in network.space.outlines.values()),
        "stitches": network.space.count,
        "passes": macs.run / dearest,
        "passes_one_per_stitch": macs.alone / dearest,
        "seconds": seconds,
        "images": images,
    }


def network_of(
    family: tuple[Callable[[], list[Anchor]], SpaceOptions], source: ImageSource, *, fitted: bool = True
) -> StitchedNetwork:
    """The network, with least-squares joints of 100 images, so that answers mean something."""
    network = StitchedNetwork(family[0](), family[1])
    if fitted:
        loader = image_loader(source, network.input_spec, batch_size=50, limit=100)
        fit_least_squares(network, (images for images, _ in loader), ridge=1e-3)
    return network


def draw(points: dict[str, Any], paths: Sequence[Path]) -> None:
    """How the cost of a sweep grows with the space: a line per space, from shared prefixes to none."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ordered = sorted(points.items(), key=lambda each: -each[1]["stitches"])
    lines = range(len(ordered))
    shared, apart = ([each[name] for _, each in ordered] for name in ("passes", "passes_one_per_stitch"))
    axes.hlines(lines, shared, apart, color="#c9d2dd")
    axes.plot(shared, lines, "o", color="#2563a8", label="every shared prefix once")
    axes.plot(apart, lines, "o", color="#8a94a3", label="one pass per stitch")
    for line, (less, more) in enumerate(zip(shared, apart, strict=True)):
        axes.annotate(
            f"{less:.0f}", (less, line), (-7, 0), textcoords="offset points", ha="right", va="center"
        )
        axes.annotate(f"{more:.0f}", (more, line), (7, 0), textcoords="offset points", va="center")
    axes.set_yticks(
        lines,
        [f"{name}\n{each['stitches']} stitches, {each['blocks']} blocks" for name, each in ordered],
        fontsize=8,
    )
    axes.set_xscale("log")
    axes.set_xlim(min(shared) / 1.6, max(apart) * 1.6)
    axes.set_xticks([10, 20, 50, 100], ["10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_xlabel("MACs of a sweep, in passes of the dearest anchor")
    figure.legend(frameon=False, loc="outside upper right", ncols=2)
    axes.grid(axis="x", color="#e3e7ec")
    axes.spines[["top", "right"]].set_visible(False)
    for path in paths:
        figure.savefig(path, dpi=150)


def main() -> None:
    """Measure what is not measured yet, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/sweep.json"))
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--batch_size", type=int, default=100)
    given = parser.parse_args()
    content: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    content |= {"benchmark": "sweep", "machine": machine()}
    table, points = content.setdefault("compared", {}), content.setdefault("growth", {})
    source = open_images(str(DATA / "cifar10/test.parquet"))
    size = {"images": given.images, "batch_size": given.batch_size}
    for name, family in FAMILIES.items():
        if name not in table:
            table[name] = compare(network_of(family, source), source, **size)
            write(given.out, content)
    for name, family in GROWING.items():
        if name not in points:
            network = network_of(family, source, fitted=False)
            points[name] = growth(network, source, images=given.batch_size, batch_size=given.batch_size)
            write(given.out, content)
    draw(points, [given.out.with_suffix(suffix) for suffix in (".png", ".svg")])
    lines = [
        [
            name,
            str(each["stitches"]),
            f"{each['seconds_one_pass_per_stitch']:.1f} → {each['seconds']:.1f}",
            f"{each['gmacs_one_pass_per_stitch']:.0f} → {each['gmacs']:.0f}",
            f"{each['images_read_one_pass_per_stitch']:,} → {each['images_read']:,}",
            f"{each['speed_up']:.2f}",
            f"{each['speed_up_predicted']:.2f}",
            f"{100 * each['met']:.0f} %",
            str(each["answers_that_differ"]),
        ]
        for name, each in table.items()
    ]
    head = ["space", "stitches", "s", "GMACs", "images read", "faster", "predicted", "met", "differ"]
    print_table(head, lines)


if __name__ == "__main__":
    main()
