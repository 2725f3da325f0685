"""What running several stitches in one training step saves, against what their shared MACs predict.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from overhead import FAMILIES, compare
from record import machine, print_table, write
from stitchable.network import StitchedNetwork
from stitchable.paths import run_paths
from stitchable.space.tree import shared_macs
from stitchable.stitch import Stitch
from stitchable.training.samplers.sandwich import SandwichSampler
from stitchable.training.samplers.uniform import UniformSampler

BATCHES = {"deit": 2, "cifar_resnet": 16}
Calls = dict[str, Callable[[], None]]
Draw = Callable[[StitchedNetwork], tuple[Stitch, ...]]


def neighbours(network: StitchedNetwork) -> tuple[Stitch, ...]:
    """Four stitches that leave the cheaper anchor one after the other, as late as there are any."""
    return tuple(list(network.space)[-4:])


DRAWS: dict[str, Draw] = {
    "neighbours, the last 4": neighbours,
    "uniform, 4 of a step": lambda network: UniformSampler(network.space, stitches_per_step=4)(0),
    "sandwich, 2 + 2 of a step": lambda network: SandwichSampler(network.space, random=2)(0),
}


def steps(
    network: StitchedNetwork, stitches: tuple[Stitch, ...], batch: int
) -> dict[str, Callable[[], None]]:
    """One step with all stitches, and as many passes with one each; the gradients are the same.

    Both end in one update, so that nothing but the passes differs.
    """
    x = torch.randn(batch, *network.input_spec.size, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(batch) % network.class_count
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)

    def together() -> None:
        optimizer.zero_grad(set_to_none=True)
        losses = [F.cross_entropy(each, labels) for each in run_paths(network, x, stitches).values()]
        torch.autograd.backward(torch.stack(losses).mean())
        optimizer.step()

    def apart() -> None:
        optimizer.zero_grad(set_to_none=True)
        for stitch in stitches:
            torch.autograd.backward(F.cross_entropy(network(x, stitch), labels) / len(stitches))
        optimizer.step()

    return {"together": together, "apart": apart}


def check(network: StitchedNetwork, calls: Calls) -> None:
    """Make sure that both give the same gradients, but for rounding."""
    grads = []
    for call in calls.values():
        call()
        grads.append({name: each.grad for name, each in network.named_parameters() if each.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name], rtol=1e-3, atol=1e-4)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--families", nargs="+", choices=BATCHES, default=list(BATCHES))
    parser.add_argument("--seconds", type=float, default=40.0, help="time for each comparison")
    parser.add_argument("--block_ms", type=float, default=20.0, help="shortest sample in milliseconds")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    content: dict[str, Any] = {
        "benchmark": "multi_stitch",
        "machine": machine(),
        "settings": {name: getattr(options, name) for name in ("seconds", "block_ms", "seed")},
        "results": [],
    }
    lines = []
    for family in options.families:
        network = StitchedNetwork(FAMILIES[family][0]()).train()
        for label, draw in DRAWS.items():
            stitches, batch = draw(network), BATCHES[family]
            calls = steps(network, stitches, batch)
            check(network.eval(), calls)
            network.train()
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()  # as in training with frozen statistics
            found = compare(calls["together"], calls["apart"], options)
            macs = shared_macs(network.space, stitches)
            predicted, measured = macs.alone / macs.run, 1 / found["ratio"]["median"]
            content["results"].append(
                {
                    "family": family,
                    "batch": batch,
                    "draw": label,
                    "stitches": [str(stitch) for stitch in stitches],
                    "macs_run": macs.run,
                    "macs_alone": macs.alone,
                    "predicted_speedup": predicted,
                    "measured_speedup": measured,
                    "measured_share_of_predicted": measured / predicted,
                    **found,
                }
            )
            ratio = found["ratio"]
            lines.append(
                [
                    f"{family}, {label}",
                    f"{found['milliseconds']:.0f}",
                    f"{ratio['median']:.3f}",
                    f"{ratio['low']:.3f} to {ratio['high']:.3f}",
                    f"{1 / predicted:.3f}",
                    f"{100 * measured / predicted:.0f} %",
                ]
            )
            print("  ".join(lines[-1]), flush=True)
    print_table(["stitches", "ms apart", "together / apart", "95 %", "MACs", "of predicted"], lines)
    if options.out:
        write(options.out, content)


if __name__ == "__main__":
    main()
