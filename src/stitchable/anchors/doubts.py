"""What a user should know about a model before stitching it: every doubt, one line each."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from stitchable.anchors.anchor import Anchor
from stitchable.modes import evaluating


@torch.no_grad()
def doubts(anchor: Anchor, *, weights: str | None, seed: int = 0) -> list[str]:
    """Everything about one anchor that may surprise; found by looking and by running it on random images.

    Args:
        anchor: It is not changed.
        weights: Where its weights came from; ``None`` for random ones.
        seed: Seed of the images.
    """
    modules = list(anchor.model.modules())
    found = [
        _weights(weights),
        _licence(anchor, weights),
        _cuts(anchor, seed),
        _drop_path(modules),
        _batch_norm(modules),
        _fused_attention(modules),
        _shared(anchor),
    ]
    return [doubt for doubt in found if doubt]


def _weights(weights: str | None) -> str | None:
    if weights is None:
        return "no weights: these are random; shapes and costs hold, accuracy does not"
    return None


def _licence(anchor: Anchor, weights: str | None) -> str | None:
    if weights is None:
        return None
    if weights == "pretrained":
        record = getattr(anchor.model, "pretrained_cfg", None) or {}
        licence = record.get("license")
        return f"licence of the weights: {licence}" if licence else "licence of the weights unknown to timm"
    return "licence of the weights unknown: a weight file does not say it"


def _cuts(anchor: Anchor, seed: int) -> str | None:
    """Norm placement, seen from what the cuts carry."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((2, *anchor.input_spec.size), generator=generator)
    with evaluating(anchor):
        x = anchor.stem(images.to(next(anchor.parameters()).device))
        carried = []
        for block in range(anchor.depth):
            x = anchor.run(x, block, block + 1)
            carried.append(x)
    if all(bool((x >= 0).all()) for x in carried):
        return "blocks end in an activation: the cuts carry nothing negative, a stitching layer may"
    if all(_normalised(x, anchor.features[-1].channels_last) for x in carried):
        return "blocks end in a norm (post-norm): the cuts carry normalised features"
    return None


def _normalised(x: Tensor, channels_last: bool) -> bool:
    axis = 1 if x.ndim == 4 and not channels_last else -1
    spread = x.double().var(axis, unbiased=False)
    return bool((spread - spread.mean()).abs().max() < 1e-2 * spread.mean())


def _drop_path(modules: list[nn.Module]) -> str | None:
    rates = [float(getattr(module, "drop_prob", 0.0) or 0.0) for module in modules]
    if max(rates, default=0.0) == 0.0:
        return None
    return f"drop-path up to {max(rates):g}: it acts in training alone, never in fit or sweep"


def _batch_norm(modules: list[nn.Module]) -> str | None:
    count = sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules)
    if count == 0:
        return None
    return f"{count} BatchNorms: behind a joint their statistics fit another path until re-estimated"


def _fused_attention(modules: list[nn.Module]) -> str | None:
    if not any(getattr(module, "fused_attn", False) for module in modules):
        return None
    return "fused attention: counted here; counters that cannot see it (fvcore) read fewer MACs"


def _shared(anchor: Anchor) -> str | None:
    parts = [anchor.outline.stem, *anchor.outline.blocks, anchor.outline.head]
    uses = Counter(label for part in parts for label, size in part.params if size)
    shared = sorted(label.partition(".")[2] for label, count in uses.items() if count > 1)
    if not shared:
        return None
    more = f" and {len(shared) - 2} more" if len(shared) > 2 else ""
    return f"several parts share parameters ({', '.join(shared[:2])}{more}): a small stitch holds them too"
