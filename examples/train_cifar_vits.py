"""Train a family of plain ViTs, 12 blocks deep and three sizes wide, on CIFAR-10, from random weights.

The models are timm's `VisionTransformer`; the loop, the images and what is saved are this library's. On a GPU
take ``--family gpu``: DeiT's widths, 192, 384 and 768, and 64 patches of 4×4 pixels. ``--family cpu`` is the
same in small: 32, 64 and 128 wide, 16 patches of 8×8. A member that is there already is left alone, so the
script goes on where it was cut off. Then stitch them, as the head of ``recipes/cifar10_vits.yaml`` says.

    python examples/train_cifar_vits.py --family cpu --epochs 20 --out runs/cifar10_vits
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.anchors.store import save_anchor
from stitchable.data.loader import image_loader
from stitchable.data.memory import hold_in_memory
from stitchable.data.sources import open_images
from stitchable.device import choose_device
from stitchable.evaluation.module import tally_module
from stitchable.input_spec import InputSpec
from stitchable.runs.images import training_batches
from stitchable.training.finetune import finetune
from stitchable.training.options import FinetuneOptions

TIMM_MODEL = "vit_tiny_patch16_224"
SHARED = {"img_size": 32, "depth": 12, "num_classes": 10}
# Size of patches; width and number of heads of each member.
FAMILIES = {
    "cpu": (8, {"tiny": (32, 2), "small": (64, 4), "base": (128, 8)}),
    "gpu": (4, {"tiny": (192, 3), "small": (384, 6), "base": (768, 12)}),
}
INPUT = InputSpec(size=(3, 32, 32), mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))


def build(family: str, name: str, *, classes: list[str], seed: int) -> Anchor:
    """Fresh member of a family."""
    patch, members = FAMILIES[family]
    width, heads = members[name]
    arguments = {**SHARED, "patch_size": patch, "embed_dim": width, "num_heads": heads}
    torch.manual_seed(seed)
    return anchor_from_timm(TIMM_MODEL, name=name, arguments=arguments, input_spec=INPUT, classes=classes)


def main() -> None:
    """Train what is missing of the family."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--family", choices=FAMILIES, default="cpu")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--train", default="../shared/data/cifar10/train.parquet")
    parser.add_argument("--val", default="../shared/data/cifar10/test.parquet")
    parser.add_argument("--out", type=Path, default=Path("runs/cifar10_vits"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    device = choose_device()
    train, val = (hold_in_memory(open_images(path)) for path in (given.train, given.val))
    options = FinetuneOptions(
        epochs=given.epochs,
        head_epochs=0,
        batch_size=given.batch_size,
        lr=given.lr,
        head_lr=given.lr,
        clip_norm=1.0,
        label_smoothing=0.1,
        autocast="none" if given.family == "cpu" else "bfloat16",  # so narrow, casting takes longer
        augment="crop_flip",
    )
    for name in FAMILIES[given.family][1]:
        if (given.out / name).is_dir():
            print(f"{name:<6} is there")
            continue
        anchor = build(given.family, name, classes=list(train.classes or []), seed=given.seed).to(device)
        batches, steps = training_batches(train, INPUT, options, seed=given.seed, workers=0)
        began = time.perf_counter()
        epochs = finetune(anchor.model, batches, head=(), steps_per_epoch=steps, options=options)
        log = []
        for record in epochs:
            log.append(asdict(record))
            print(f"{name:<6} epoch {record.epoch:>3}  loss {record.loss:.3f}", flush=True)
        found = tally_module(anchor.model, image_loader(val, INPUT, batch_size=500))
        top1 = 100 * found.correct / found.images
        # Under another name until it is whole.
        partial = given.out / f"{name}.partial"
        save_anchor(anchor, partial)
        about = {"top1": top1, "seconds": round(time.perf_counter() - began), "options": asdict(options)}
        (partial / "training.json").write_text(json.dumps({**about, "epochs": log}, indent=1) + "\n")
        partial.rename(given.out / name)
        print(f"{name:<6} {top1:.2f} % of {found.images:,} test images, {about['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
