"""Least squares for all stitching layers of DeiT-Ti/S/B: streaming sums against the papers' way.

Time, exactness and memory, on features of DeiT's shapes. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from record import machine, median_interval, print_table, write
from stitchable.cost.parts import PartCost
from stitchable.feature import Cut, FeatureSpec
from stitchable.initialization.layer_statistics import LayerStatistics
from stitchable.space.build import build_space
from stitchable.space.outline import Outline
from stitchable.space.space import StitchingSpace

WIDTHS = {"ti": 192, "s": 384, "b": 768}
DEPTH, GRID, LATENT = 12, 14, 256
Features = dict[Cut, Tensor]
Maps = dict[str, Tensor]


def deit_space() -> StitchingSpace:
    """Windows of 2 blocks, stride 1, nearest anchors: 68 pairs on 22 layers."""
    outlines = []
    for order, (name, width) in enumerate(WIDTHS.items()):
        cut = FeatureSpec("tokens", width, (GRID, GRID), prefix_tokens=1)
        parts = [PartCost(order + 1)] * (DEPTH + 2)
        outlines.append(
            Outline(name, (cut,) * (DEPTH + 1), (0,) * DEPTH, parts[0], tuple(parts[1:-1]), parts[-1])
        )
    return build_space(outlines)


class ResidualStreams:
    """Features that look like three ViTs' on the same images.

    All anchors see one latent (image part, token part; spectrum falling as 1/√k). Every block adds a
    non-linear function of it and some noise of its own to the stream, so neighbouring cuts resemble each
    other; channels differ in scale and mean. Batches are told apart by the index of their first image.
    """

    def __init__(self, cuts: Iterable[Cut], seed: int) -> None:
        self.cuts = frozenset(cuts)
        generator = torch.Generator().manual_seed(seed)
        self.seed = seed
        self.mixing = {
            (name, cut): torch.randn(LATENT, width, generator=generator) / 4
            for name, width in WIDTHS.items()
            for cut in range(DEPTH + 1)
        }
        self.scale = {name: torch.randn(w, generator=generator).mul(0.5).exp() for name, w in WIDTHS.items()}
        self.mean = {name: torch.randn(width, generator=generator) for name, width in WIDTHS.items()}
        self.spectrum = torch.arange(1, LATENT + 1).rsqrt()

    def draw(self, first: int, images: int) -> Features:
        """Float32 tokens ``(images, 197, width)`` of the images from ``first`` on, for every cut."""
        generator = torch.Generator().manual_seed(self.seed + 1 + first)
        tokens = GRID * GRID + 1
        latent = torch.randn(images, 1, LATENT, generator=generator)
        latent = latent + torch.randn(images, tokens, LATENT, generator=generator)
        latent = latent.reshape(-1, LATENT) * self.spectrum
        features = {}
        for name, width in WIDTHS.items():
            stream = torch.zeros(images * tokens, width)
            for cut in range(DEPTH + 1):
                stream += torch.tanh(latent @ self.mixing[name, cut])
                stream += torch.randn(stream.shape, generator=generator).mul_(0.2)
                if (name, cut) in self.cuts:
                    tokens_of_cut = stream * self.scale[name] + self.mean[name]
                    features[name, cut] = tokens_of_cut.unflatten(0, (images, tokens))
        return features


def matrices(features: Features) -> Features:
    """One row per token."""
    return {cut: x.flatten(0, 1) for cut, x in features.items()}


def streams(space: StitchingSpace, options: argparse.Namespace) -> ResidualStreams:
    """Features at the cuts that the space's layers need."""
    return ResidualStreams(LayerStatistics(space).cuts, options.seed)


def published(space: StitchingSpace, features: Features) -> Maps:
    """The papers' way: a float32 pseudo-inverse per pair, the solutions of a layer averaged."""
    features, maps = matrices(features), {}
    for layer, joints in space.layers.items():
        solved = []
        for joint in joints:
            front = features[joint.front, joint.leave]
            with_ones = torch.cat([front, torch.ones(len(front), 1)], 1)
            solved.append(torch.linalg.pinv(with_ones) @ features[joint.end, joint.enter])
        maps[layer] = torch.stack(solved).mean(0)
    return maps


def published_shared(space: StitchingSpace, features: Features) -> Maps:
    """The papers' arithmetic with the easy saving: one pseudo-inverse per front cut, kept."""
    inverse: Features = {}
    features, maps = matrices(features), {}
    for layer, joints in space.layers.items():
        solved = []
        for joint in joints:
            cut = joint.front, joint.leave
            if cut not in inverse:
                ones = torch.ones(len(features[cut]), 1)
                inverse[cut] = torch.linalg.pinv(torch.cat([features[cut], ones], 1))
            solved.append(inverse[cut] @ features[joint.end, joint.enter])
        maps[layer] = torch.stack(solved).mean(0)
    return maps


def streaming(space: StitchingSpace, batches: Iterator[Features]) -> Maps:
    """Ours: float64 sums over batches, one joint solution per layer."""
    statistics = LayerStatistics(space)
    for batch in batches:
        statistics.update(batch)
        del batch  # or it would be held while the next one is made
    return {layer: torch.cat([fit.weight.T, fit.bias[None]]) for layer, fit in statistics.solve().items()}


def one_shot(space: StitchingSpace, features: Features, layer: str) -> Tensor:
    """Oracle: numpy's float64 least squares on the stacked rows of all pairs of a layer."""
    features, joints = matrices(features), space.layers[layer]
    front = torch.cat([features[joint.front, joint.leave] for joint in joints]).double().numpy()
    end = torch.cat([features[joint.end, joint.enter] for joint in joints]).double().numpy()
    with_ones = np.concatenate([front, np.ones((len(front), 1))], 1)
    return torch.from_numpy(np.linalg.lstsq(with_ones, end, rcond=None)[0])


def sliced(features: Features, batch: int) -> Iterator[Features]:
    """Views of ``batch`` images each."""
    for start in range(0, len(next(iter(features.values()))), batch):
        yield {cut: x[start : start + batch] for cut, x in features.items()}


def floor(space: StitchingSpace, images: int) -> dict[str, float]:
    """Multiply-adds that the shared sums need, and the rate of float64 products measured here."""
    statistics = LayerStatistics(space)
    fronts = {(joint.front, joint.leave) for joint in space.joints}
    rows = images * (GRID * GRID + 1)
    gram = sum(WIDTHS[name] ** 2 for name, _ in fronts) * rows
    pairs = sum(WIDTHS[joint.front] * WIDTHS[joint.end] for joint in space.joints) * rows
    cross = rows * sum(
        WIDTHS[product.fronts[0].anchor] * WIDTHS[product.ends[0].anchor]
        for products in statistics.products.values()
        for product in products
    )
    x, y = torch.rand(2048, 384, dtype=torch.float64), torch.rand(2048, 768, dtype=torch.float64)
    total = torch.zeros(384, 768, dtype=torch.float64)
    seconds = min(timed(lambda: total.addmm_(x.T, y)) for _ in range(50))
    rate = x.numel() * y.shape[1] / seconds
    return {
        "gram_multiply_adds": gram,
        "cross_multiply_adds": cross,
        "cross_multiply_adds_pair_by_pair": pairs,
        "products": sum(len(products) for products in statistics.products.values()),
        "feature_bytes": 4 * rows * sum(WIDTHS[name] for name, _ in statistics.cuts),
        "measured_float64_multiply_adds_per_second": rate,
        "seconds": (gram + cross) / rate,
    }


def timed(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare_times(space: StitchingSpace, options: argparse.Namespace) -> dict[str, Any]:
    """Alternate the ways on the same features, forwards and backwards."""
    features = streams(space, options).draw(0, options.images)
    ways = {
        "streaming": lambda: streaming(space, sliced(features, options.batch)),
        "published": lambda: published(space, features),
        "published_shared": lambda: published_shared(space, features),
    }
    for call in ways.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(options.repeats):
        for name in list(ways)[:: -1 if repeat % 2 else 1]:
            seconds[name].append(timed(ways[name]))
            print(f"repeat {repeat}  {name}  {seconds[name][-1]:.2f} s", flush=True)
    return {
        "seconds": seconds,
        "medians": {name: median(taken) for name, taken in seconds.items()},
        "speedup": {
            name: median_interval([a / b for a, b in zip(seconds[name], seconds["streaming"], strict=True)])
            for name in ("published", "published_shared")
        },
    }


def exactness(space: StitchingSpace, options: argparse.Namespace) -> dict[str, float]:
    """Largest relative difference of a layer's solution from one-shot float64 least squares."""
    features = streams(space, options).draw(0, options.images)
    ours, theirs = streaming(space, sliced(features, options.batch)), published(space, features)
    differences: dict[str, list[float]] = {"streaming": [], "published": []}
    for layer in space.layers:
        oracle = one_shot(space, features, layer)
        differences["streaming"].append(float((ours[layer] - oracle).norm() / oracle.norm()))
        differences["published"].append(float((theirs[layer] - oracle).norm() / oracle.norm()))
    print(
        "relative difference from one shot: " + ", ".join(f"{k} {max(v):.1e}" for k, v in differences.items())
    )
    return {name: max(found) for name, found in differences.items()}


def status(field: str) -> int:
    """A field of this process' status in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {field}; the memory figures need Linux.")


def probe(way: str, options: argparse.Namespace) -> None:
    """Print by how many bytes the resident memory of this process rises at its highest."""
    space = deit_space()
    source = streams(space, options)
    small = torch.rand(64, 8)  # both ways' libraries and threads start before the measurement
    torch.linalg.pinv(small), torch.linalg.cholesky_ex(small.T.double() @ small.double())
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    if way == "streaming":
        firsts = range(0, options.images, options.batch)
        streaming(space, (source.draw(first, min(options.batch, options.images - first)) for first in firsts))
    else:
        published(space, source.draw(0, options.images))
    print(status("VmHWM") - before)


def compare_memory(options: argparse.Namespace) -> dict[str, Any]:
    """Peak extra resident memory of each way, each in a process of its own."""
    found: dict[str, Any] = {}
    for way, images in (
        ("streaming", options.images),
        ("streaming", options.many),
        ("published", options.images),
    ):
        arguments = ["--probe", way, "--images", images, "--batch", options.batch, "--seed", options.seed]
        command = [sys.executable, __file__, *map(str, arguments)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[f"{way}_{images}_images_bytes"] = int(output)
        print(f"{way}, {images} images: {int(output) / 1e6:.0f} MB", flush=True)
    few, many = (found[f"streaming_{images}_images_bytes"] for images in (options.images, options.many))
    return {**found, "streaming_growth": many / few}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--images", type=int, default=100, help="images for time and exactness")
    parser.add_argument("--many", type=int, default=2000, help="images for the streaming way's memory")
    parser.add_argument("--batch", type=int, default=10, help="images per update of the streaming way")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--probe", choices=("streaming", "published"), help="measure one way's memory only")
    options = parser.parse_args()
    if options.probe:
        probe(options.probe, options)
        return
    space = deit_space()
    content: dict[str, Any] = {
        "benchmark": "least_squares",
        "machine": machine(),
        "settings": {
            **{name: getattr(options, name) for name in ("images", "many", "batch", "repeats", "seed")},
            "rows": options.images * (GRID * GRID + 1),
            "pairs": len(space.joints),
            "layers": len(space.layers),
        },
        "floor": floor(space, options.images),
        "time": compare_times(space, options),
        "exactness": exactness(space, options),
        "memory": compare_memory(options),
    }
    medians, speedup = content["time"]["medians"], content["time"]["speedup"]
    lines = [["streaming sums, float64", f"{medians['streaming']:.2f}", "1.00", ""]]
    for name, label in (
        ("published", "pseudo-inverse per pair, float32"),
        ("published_shared", "the same, once per front cut"),
    ):
        ratio = speedup[name]
        interval = f"{ratio['low']:.2f} to {ratio['high']:.2f}"
        lines.append([label, f"{medians[name]:.2f}", f"{ratio['median']:.2f}", interval])
    print_table(["way", "seconds", "ratio", "95 %"], lines)
    bound, growth = content["floor"]["seconds"], content["memory"]["streaming_growth"]
    print(f"floor {bound:.2f} s; memory at {options.many} over {options.images} images {growth:.3f}")
    if options.out:
        write(options.out, content)


if __name__ == "__main__":
    main()
