"""The conformance check: is an anchor what it says it is? For our families and for anyone's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stitchable.anchors.anchor import Anchor, logits_of
from stitchable.errors import StitchError
from stitchable.modes import evaluating


@dataclass(frozen=True)
class Conformance:
    """What `check_anchor` found; it raises if anything is wrong.

    Attributes:
        anchor: The anchor's name.
        cuts: Number of cuts whose features were compared with their specs.
        difference: Largest absolute difference between the logits of the model and of the recomposed
            anchor; 0.0, since the check demands bit equality.
        parameters: Number of parameters that the parts hold together.
    """

    anchor: str
    cuts: int
    difference: float
    parameters: int


@torch.no_grad()
def check_anchor(anchor: Anchor, *, batch: int = 2, seed: int = 0) -> Conformance:
    """Check an anchor on random images.

    Checked are: the recomposed anchor equals the model bit for bit; every feature has the shape that
    its spec says; no part changes its input; every part, alone in a copy that holds only what it names,
    computes the same; the parts together hold every parameter of the model. Training modes, hooks,
    parameters, buffers and the global random state are as before afterwards.

    Args:
        anchor: The anchor; it is not changed.
        batch: Number of random images.
        seed: Seed of the images.

    Raises:
        StitchError: The first thing that is not as it should be.
    """
    before = {key: (tensor, tensor.clone()) for key, tensor in anchor.state_dict().items()}
    device = next(anchor.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((batch, *anchor.own_input.size), generator=generator).to(device)
    with evaluating(anchor), torch.random.fork_rng(devices=[]):
        expected = logits_of(anchor.model(images))
        if not isinstance(expected, Tensor) or expected.ndim != 2:
            raise StitchError(f"{anchor.name}: the model does not return logits (batch, classes).")
        if anchor.classes and len(anchor.classes) != expected.shape[1]:
            raise StitchError(
                f"{anchor.name} has {len(anchor.classes)} class names for {expected.shape[1]} logits. "
                "Give one name per logit, or none."
            )
        x = images
        for cut in range(anchor.depth + 1):
            x = _run_part(anchor, cut, x)
            spec = anchor.features[cut]
            if tuple(x.shape) != spec.shape(batch):
                raise StitchError(
                    f"{anchor.name}: cut {cut} carries {tuple(x.shape)}, its spec says {spec.shape(batch)}."
                )
        got = _run_part(anchor, anchor.depth + 1, x)
        difference = float((got - expected).abs().max())
        if not torch.equal(got, expected):
            raise StitchError(
                f"{anchor.name}: stem, blocks and head do not make up the model; the logits differ by up to "
                f"{difference:.3g}. Check the description of its parts."
            )
    for key, (tensor, copy) in before.items():
        if not torch.equal(tensor, copy):
            raise StitchError(f"{anchor.name}: running it in eval mode changes {key}.")
    return Conformance(anchor.name, anchor.depth + 1, difference, _check_parameters(anchor))


def _run_part(anchor: Anchor, position: int, x: Tensor) -> Tensor:
    """Run the stem (0), a block, or the head (depth + 1), in the anchor and alone."""
    stem, head = position == 0, position == anchor.depth + 1
    blocks = [] if stem or head else [position - 1]
    part = anchor.parts(blocks, stem=stem, head=head)[0]
    where = "stem" if stem else "head" if head else f"block {position - 1}"
    given = x.clone()
    y = part.run(anchor.model, x)
    if not torch.equal(given, x):
        raise StitchError(f"{anchor.name}: the {where} changes its input in place. Make it leave that alone.")
    alone = anchor.holding(blocks, stem=stem, head=head)
    try:
        same = torch.equal(part.run(alone.model, given), y)
    except (AttributeError, TypeError, RuntimeError) as error:
        raise StitchError(
            f"{anchor.name}: the {where} reads more of the model than its 'uses' names: {error}"
        ) from error
    if not same:
        raise StitchError(f"{anchor.name}: the {where} reads more of the model than its 'uses' names.")
    return y


def _check_parameters(anchor: Anchor) -> int:
    whole = anchor.holding(range(anchor.depth), stem=True, head=True).model
    held = {name for name, _ in whole.named_parameters()}
    missing = [name for name, _ in anchor.model.named_parameters() if name not in held]
    if missing:
        raise StitchError(f"{anchor.name}: no part uses the parameter {missing[0]} ({len(missing)} in all).")
    return sum(parameter.numel() for parameter in whole.parameters())
