"""What calling a stitched network costs over plain modules: stitches, and recomposed anchors.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from record import machine, median_interval, print_table, write
from stitchable.anchors.anchor import Anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.network import StitchedNetwork

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from cifar_resnets import resnet20, resnet56

Call = Callable[[], Tensor]


def vits() -> list[Anchor]:
    """DeiT-Ti and DeiT-S at 224×224, random weights."""
    return [anchor_from_timm(f"deit_{size}_patch16_224", name=size) for size in ("tiny", "small")]


def resnets() -> list[Anchor]:
    """ResNet-18 and -34 at 224×224, random weights."""
    return [anchor_from_timm(name, name=name) for name in ("resnet18", "resnet34")]


def cifar_resnets() -> list[Anchor]:
    """ResNet-20 and -56 at 32×32, random weights."""
    return [resnet20(), resnet56()]


FAMILIES = {"deit": (vits, (1, 8)), "resnet": (resnets, (1, 8)), "cifar_resnet": (cifar_resnets, (1, 64))}


def pairs_of_calls(network: StitchedNetwork, batch: int) -> dict[str, tuple[Call, Call]]:
    """What is compared with what; both members of a pair compute the same bits."""
    x = torch.randn(batch, *network.input_spec.size, generator=torch.Generator().manual_seed(0))
    stitch = network.space[len(network.space) // 2 + len(network.anchors) // 2]
    extracted = network.extract(stitch)
    text = str(stitch)
    calls: dict[str, tuple[Call, Call]] = {
        f"network(x, {text!r}) / extracted(x)": (lambda: network(x, text), lambda: extracted(x)),
        "extracted(x) / extracted(x), the noise": (lambda: extracted(x), lambda: extracted(x)),
    }
    for name, anchor in network.anchors.items():
        calls[f"{name}: anchor(x) / model(x)"] = (
            partial(anchor, x),
            partial(anchor.model, x),
        )
    last = list(network.anchors)[-1]
    calls[f"{last}: network(x, {last!r}) / model(x)"] = (
        lambda: network(x, last),
        lambda: network.anchors[last].model(x),
    )
    for ours, theirs in calls.values():
        assert torch.equal(ours(), theirs())
    return calls


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], options: argparse.Namespace
) -> dict[str, Any]:
    """Ratio of two calls' times from blocks in the order A B B A, then B A A B, and so on.

    Each of the four is as many calls as fill ``options.block_ms``. A block gives one ratio; the order
    cancels what drifts evenly.
    """
    for _ in range(3):
        ours(), theirs()
    once = min(seconds(theirs, 1) for _ in range(5))
    calls = max(1, round(options.block_ms / 1000 / once))
    ratios: list[float] = []
    each: list[float] = []
    end = time.perf_counter() + options.seconds
    while time.perf_counter() < end or len(ratios) < 21:
        a, b = (ours, theirs) if len(ratios) % 2 == 0 else (theirs, ours)
        outer = seconds(a, calls)
        inner = seconds(b, calls) + seconds(b, calls)
        outer += seconds(a, calls)
        mine, other = (outer, inner) if a is ours else (inner, outer)
        ratios.append(mine / other)
        each.append((mine - other) / (2 * calls))
    return {
        "ratio": median_interval(ratios),
        "milliseconds": once * 1000,
        "extra_microseconds": median_interval([1e6 * extra for extra in each]),
        "blocks": len(ratios),
        "calls_per_sample": calls,
    }


def seconds(call: Callable[[], object], number: int) -> float:
    """Wall-clock seconds of some calls."""
    start = time.perf_counter()
    for _ in range(number):
        call()
    return time.perf_counter() - start


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each comparison")
    parser.add_argument("--block_ms", type=float, default=20.0, help="shortest sample in milliseconds")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    content: dict[str, Any] = {
        "benchmark": "overhead",
        "machine": machine(),
        "settings": {name: getattr(options, name) for name in ("seconds", "block_ms", "seed")},
        "results": [],
    }
    lines = []
    for family in options.families:
        build, batches = FAMILIES[family]
        network = StitchedNetwork(build()).eval()
        for batch in batches:
            with torch.inference_mode():
                for label, (ours, theirs) in pairs_of_calls(network, batch).items():
                    found = compare(ours, theirs, options)
                    content["results"].append({"family": family, "batch": batch, "pair": label, **found})
                    ratio, extra = found["ratio"], found["extra_microseconds"]
                    lines.append(
                        [
                            f"{family} {label}",
                            str(batch),
                            f"{found['milliseconds']:.2f}",
                            f"{ratio['median']:.4f}",
                            f"{ratio['low']:.4f} to {ratio['high']:.4f}",
                            f"{extra['median']:+.0f}",
                        ]
                    )
                    print("  ".join(lines[-1]), flush=True)
    print_table(["pair", "batch", "ms", "ratio", "95 %", "µs more"], lines)
    if options.out:
        write(options.out, content)


if __name__ == "__main__":
    main()
