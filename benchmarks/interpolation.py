"""How far the anchors should go: one training, its weights saved at several shares of the way.

Takes a run that was trained with ``train.interpolation 1``, and moves its anchors, or all of its weights,
back towards the fitted ones. A share's result is written as soon as it is there; what is written is skipped.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from record import machine, print_table, write
from stitchable.data.loader import image_loader
from stitchable.data.sources import open_images
from stitchable.evaluation.answers import Tally
from stitchable.evaluation.sweep import tally
from stitchable.network import StitchedNetwork
from stitchable.runs.folder import RunFolder
from stitchable.training.saved_weights import SavedWeights


@torch.no_grad()
def on_the_way(
    fitted: StitchedNetwork, trained: StitchedNetwork, *, share: float, moved: str
) -> StitchedNetwork:
    """The trained network, its anchors or all of its weights a share of the way from the fitted ones."""
    network = copy.deepcopy(fitted)
    saved = SavedWeights(network, share=share)
    network.load_state_dict(trained.state_dict())
    saved.give()
    if moved == "all weights":
        before = fitted.layers.state_dict()
        for name, weight in network.layers.state_dict().items():
            weight.copy_(torch.lerp(before[name], weight, share))
    return network


def top1(found: list[Tally]) -> list[float]:
    """Percent."""
    return [round(100 * each.correct / each.images, 2) for each in found]


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="Folder of a run that was trained with train.interpolation 1.")
    parser.add_argument("--data", default="../shared/data/cifar10/test.parquet")
    parser.add_argument("--limit", type=int, default=3000, help="Images, the first ones.")
    parser.add_argument("--every", type=int, default=4, help="Measure every so-manieth stitch.")
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0, 0.8, 0.6, 0.5, 0.4])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/interpolation.json"))
    given = parser.parse_args()
    run = RunFolder(given.run)
    fitted = StitchedNetwork.from_pretrained(run.fitted, trust_code=True)
    trained = StitchedNetwork.from_pretrained(run.network, trust_code=True)
    config = run.read_config()
    assert config["train"].get("interpolation", 1) == 1, "The anchors of this run are moved back already."
    source = open_images(given.data)
    batches = list(image_loader(source, fitted.input_spec, batch_size=250, limit=given.limit))
    count, stitches = len(fitted.anchors), list(fitted.space)
    anchors, joined = stitches[:count], stitches[count :: given.every]
    content: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    content |= {"benchmark": "interpolation", "machine": machine(), "seed": config["seed"]}
    content |= {"images": given.limit, "stitches": list(map(str, joined)), "anchors": list(fitted.anchors)}
    content.setdefault("originals", top1(tally(fitted, anchors, batches, half=True)))
    results: dict[str, Any] = content.setdefault("results", {})
    for moved, share in itertools.product(("anchors", "all weights"), given.shares):
        name = f"{moved}, {share:g}"
        if name in results:
            continue
        network = on_the_way(fitted, trained, share=share, moved=moved)
        found = tally(network, [*anchors, *joined], batches, half=True)
        after = top1(found[:count])
        results[name] = {
            "anchors": after,
            "drop": round(max(a - b for a, b in zip(content["originals"], after, strict=True)), 2),
            "mean_of_stitches": round(mean(top1(found[count:])), 3),
            "loss": round(mean(each.loss / each.images for each in found[count:]), 4),
        }
        write(given.out, content)
    columns = ("mean_of_stitches", "loss", "drop")
    print_table(
        ["moved, share", "mean of stitches", "loss", "largest drop", *content["anchors"]],
        [
            [name, *(str(each[key]) for key in columns), *map(str, each["anchors"])]
            for name, each in results.items()
        ],
    )


if __name__ == "__main__":
    main()
