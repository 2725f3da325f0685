"""Sums over the final features behind joints, and over what their logits lack of the end anchor's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stitchable.anchors.classifier import linear_classifier
from stitchable.device import sums_device
from stitchable.errors import StitchError
from stitchable.evaluation.trie import Trie
from stitchable.initialization.least_squares import LeastSquares
from stitchable.network import StitchedNetwork
from stitchable.space.joint import Joint
from stitchable.space.steps import Step


@dataclass(frozen=True)
class ClassifierSums:
    """Of the images that a classifier is fitted to, and of those held out."""

    fitted: LeastSquares
    held_out: LeastSquares


def own_classifier(network: StitchedNetwork, joint: Joint) -> tuple[nn.Parameter, nn.Parameter]:
    """Weight ``(classes, width)`` and bias ``(classes,)`` of a joint's own classifier."""
    name, own = linear_classifier(network.anchors[joint.end]), network.behind[str(joint)].own()
    return own[f"{name}.weight"], own[f"{name}.bias"]


@contextmanager
def showing_features(own: Mapping[Joint, tuple[nn.Parameter, nn.Parameter]]) -> Iterator[None]:
    """Let the joints' classifiers give what comes to them: their weights are the identity for a while."""
    before = [(parameter, parameter.data) for pair in own.values() for parameter in pair]
    try:
        for weight, bias in own.values():
            width = weight.shape[1]
            weight.data = torch.eye(width, dtype=weight.dtype, device=weight.device)
            bias.data = torch.zeros(width, dtype=bias.dtype, device=bias.device)
        yield
    finally:
        for parameter, data in before:
            parameter.data = data


def sums_behind(
    network: StitchedNetwork, trie: Trie, joints: Sequence[Joint], batches: Iterable[Tensor], held_out: int
) -> tuple[dict[Joint, ClassifierSums], int]:
    """Sums of the features that a trie's stitches give, and what their logits lack; and how many images."""
    device = next(network.parameters()).device
    where, ends = sums_device(device), dict.fromkeys(joint.end for joint in joints)
    sums: dict[Joint, ClassifierSums] = {}
    images = 0
    for number, batch in enumerate(batches):
        x = batch.to(device)
        images += len(batch)
        wanted = {end: network.anchors[end](x).to(where) for end in ends}
        if number == 0:
            _check_linear(network, joints, x, wanted)
        for position, features in trie.run(x):
            joint, rows = joints[position], features.to(where)
            lacking = wanted[joint.end].double() - _classified(network, joint.end, rows)
            if joint not in sums:
                shape = rows.shape[1], lacking.shape[1]
                sums[joint] = ClassifierSums(*(LeastSquares(*shape, device=where) for _ in range(2)))
            (sums[joint].held_out if number < held_out else sums[joint].fitted).update(rows, lacking)
    return sums, images


def _classified(network: StitchedNetwork, end: str, features: Tensor) -> Tensor:
    """What an anchor's own classifier makes of final features, in float64."""
    anchor = network.anchors[end]
    name = linear_classifier(anchor)
    weight, bias = (
        anchor.model.get_parameter(f"{name}.{each}").to(features.device, torch.float64)
        for each in ("weight", "bias")
    )
    return features.double() @ weight.T + bias


def _check_linear(
    network: StitchedNetwork, joints: Sequence[Joint], x: Tensor, wanted: Mapping[str, Tensor]
) -> None:
    for joint in {joint.end: joint for joint in joints}.values():
        anchor = network.anchors[joint.end]
        last = anchor.run(anchor.stem(x), 0, anchor.depth)
        features = network.apply_step(Step("head", joint.end, joint=str(joint)), last)
        given, logits = (
            _classified(network, joint.end, features.to(wanted[joint.end].device)),
            wanted[joint.end],
        )
        if not torch.allclose(given, logits.double(), rtol=1e-3, atol=1e-3 * float(logits.abs().max())):
            raise StitchError(
                f"{joint.end} does more to its logits than its linear layer {linear_classifier(anchor)}, so "
                "they cannot be corrected there. Leave fit.correct at none."
            )
