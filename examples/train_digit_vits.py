"""Train the three small vision transformers on 8×8 digits that come with the package.

They learn from the 1,000 training images of `stitchable.data.digits` alone, and the weights of the last
epoch are kept. Widths, lengths of training and learning rates were chosen with the held-out scores in
view, so as to leave clear gaps; trained for longer the smaller two come closer to the largest (the middle
one reaches 96.9 % in 30 epochs). This is a family to stitch, no benchmark of the architecture.

The committed weights are of seed 0 (the default), on one thread; it takes a minute or two.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from stitchable.data.digits import digits

TIMM_MODEL = "vit_tiny_patch16_224"
SHARED: dict[str, Any] = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 10, "depth": 6}
FAMILY: dict[str, dict[str, Any]] = {
    "digits_tiny": {"embed_dim": 12, "num_heads": 2},
    "digits_small": {"embed_dim": 24, "num_heads": 2},
    "digits_base": {"embed_dim": 64, "num_heads": 4},
}
EPOCHS = {"digits_tiny": 40, "digits_small": 18, "digits_base": 60}
LEARNING_RATE = {"digits_tiny": 3e-3, "digits_small": 3e-3, "digits_base": 2e-3}
MEAN, STD = 0.5, 0.5
BATCH = 50
WEIGHT_DECAY = 0.05
WARMUP = 0.1  # share of all steps
WEIGHTS = Path(__file__).resolve().parents[1] / "src" / "stitchable" / "demo" / "weights"


def build(name: str, seed: int) -> nn.Module:
    """Fresh model of the family; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = timm.create_model(TIMM_MODEL, **SHARED, **FAMILY[name])
        # timm starts every linear layer at a deviation of 0.02, made for widths of some hundreds; at
        # these widths the blocks then begin as near-identities and learn late.
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=layer.in_features**-0.5)
        nn.init.trunc_normal_(model.get_parameter("pos_embed"), std=0.2)
    return model


def normalise(images: Tensor) -> Tensor:
    """Bring pixels in [0, 1] to the scale the models are trained on."""
    return (images - MEAN) / STD


def jitter(images: Tensor, draw: torch.Generator) -> Tensor:
    """Rotate each image by up to 10 degrees and shift it by up to half a pixel."""
    n = len(images)
    angle = (torch.rand(n, generator=draw) * 2 - 1) * math.radians(10)
    shift = (torch.rand(n, 2, 1, generator=draw) * 2 - 1) / images.shape[-1]  # a pixel is 2/8 of the grid
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(n, 2, 2)
    grid = F.affine_grid(torch.cat([turn, shift], dim=2), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def train(
    model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, rate: float, draw: torch.Generator
) -> None:
    """Fit by AdamW under a linear warm-up and one cosine to zero."""
    steps = epochs * math.ceil(len(images) / BATCH)
    warmup = round(WARMUP * steps)

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=draw).chunk(math.ceil(len(images) / BATCH)):
            loss = F.cross_entropy(model(normalise(jitter(images[rows], draw))), labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()


@torch.no_grad()
def top1(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images whose largest score is the label's, in percent."""
    scores: Tensor = model(normalise(images))
    return 100 * (scores.argmax(1) == labels).double().mean().item()


def train_member(name: str, *, seed: int, out: Path) -> dict[str, Any]:
    """Train one model, write its weights, and return its row of ``family.json``."""
    images, labels = digits("train")
    held_out = digits("val")
    model = build(name, seed)
    draw = torch.Generator().manual_seed(seed)
    train(model, images, labels, epochs=EPOCHS[name], rate=LEARNING_RATE[name], draw=draw)
    save_file(model.state_dict(), out / f"{name}.safetensors")
    return {
        "name": name,
        "model": TIMM_MODEL,
        "arguments": SHARED | FAMILY[name],
        "input": {"size": [1, 8, 8], "mean": [MEAN], "std": [STD]},
        "seed": seed,
        "epochs": EPOCHS[name],
        "train_images": len(images),
        "held_out_images": len(held_out[0]),
        "held_out_top1": round(top1(model, *held_out), 2),
        "params": sum(p.numel() for p in model.parameters()),
    }


def main() -> None:
    """Train the family and write its weights and ``family.json``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0, help="start of every random draw (default: 0)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder to write (default: the package's)")
    args = parser.parse_args()
    torch.set_num_threads(1)  # sums in one order, so that a second run gives the same weights
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in FAMILY:
        start = time.perf_counter()
        row = train_member(name, seed=args.seed, out=args.out)
        seconds = time.perf_counter() - start
        print(
            f"{name:<14}{row['params']:>9,} params {row['held_out_top1']:>7.2f} % {seconds:>5.0f} s",
            flush=True,
        )
        rows.append(row)
    (args.out / "family.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
