"""What a joint has of its own: norms, biases or the classifier of its end anchor, used behind it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Literal, cast, get_args

import torch
from torch import nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.classifier import linear_classifier
from stitchable.anchors.split import Part
from stitchable.anchors.vectors import vector_names
from stitchable.errors import StitchError
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

Owned = Literal["norms", "biases", "classifier"]
"""What joints may have of their own: vectors, see `vector_names`, or the layer of `linear_classifier`."""


class BehindJoint(nn.Module):
    """Copies of some parameters of an end anchor, under the names that they have in its model.

    Args:
        parameters: What is copied, by name; one that has several names stays one.
        kind: What they are.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], kind: Owned) -> None:
        super().__init__()
        self.kind = kind
        for name, copy in deepcopy(dict(parameters)).items():
            *path, last = name.split(".")
            module: nn.Module = self
            for word in path:
                if word not in module._modules:
                    module.add_module(word, nn.Module())
                module = module.get_submodule(word)
            module.register_parameter(last, copy)

    def own(self) -> dict[str, nn.Parameter]:
        """The copies by their names in the anchor's model."""
        return dict(self.named_parameters(remove_duplicate=False))


def behind_joints(
    space: StitchingSpace, anchors: Mapping[str, Anchor], kind: Owned
) -> Mapping[str, BehindJoint]:
    """Copies for every joint of a space: of what the end anchor's blocks behind it, and its head, read.

    Returns:
        A ModuleDict by the joint's text.

    Raises:
        StitchError: No anchor has such parameters behind a joint, or they are of a kind unknown here.
    """
    if kind not in get_args(Owned):
        raise StitchError(f"Joints have no {kind!r} of their own; allowed: {', '.join(get_args(Owned))}.")
    ownable = {name: _ownable(anchor, kind) for name, anchor in anchors.items()}
    made = {}
    for joint in space.joints:
        anchor = anchors[joint.end]
        read = _read(anchor, anchor.parts(range(joint.enter, anchor.depth), stem=False, head=True))
        chosen = {name: each for name, each in read.items() if name in ownable[joint.end]}
        made[str(joint)] = BehindJoint(chosen, kind)
    if not any(each.own() for each in made.values()):
        if kind == "classifier":
            raise StitchError("No anchor behind a joint gets its logits from one linear layer with a bias.")
        other = "biases" if kind == "norms" else "norms"
        raise StitchError(f"There are no {kind} behind any joint. Tune {other} or layers instead.")
    # A ModuleDict is a mapping, which torch's own types do not say.
    return cast(Mapping[str, BehindJoint], nn.ModuleDict(made))


def entered_anchors(
    space: StitchingSpace, anchors: Mapping[str, Anchor], behind: Mapping[str, BehindJoint]
) -> dict[str, Anchor]:
    """For every joint that has parameters of its own, the end anchor as it runs behind it."""
    ends = {str(joint): joint.end for joint in space.joints}
    return {joint: anchors[ends[joint]].reading(each.own()) for joint, each in behind.items()}


def behind_one_stitch(
    stitch: Stitch, path: Sequence[Joint], anchors: Mapping[str, Anchor], behind: Mapping[str, BehindJoint]
) -> tuple[dict[str, BehindJoint], bool]:
    """Copies of what a stitch reads of its joints' own.

    Args:
        stitch: Which one.
        path: Its joints.
        anchors: Whole, by name.
        behind: By joint.

    Returns:
        The copies by joint, and whether one set of anchors can hold them: a path that comes back to an anchor
        may run a block twice, behind two joints.
    """
    values: dict[int, nn.Parameter] = {}
    held: dict[str, dict[str, nn.Parameter]] = {}
    alone = True
    for number, (segment, joint) in enumerate(zip(stitch.segments, (None, *path), strict=True)):
        anchor, last = anchors[segment.anchor], number + 1 == len(stitch.segments)
        blocks = range(segment.start, segment.stop)
        own = behind[str(joint)].own() if joint else {}
        for name, parameter in _read(anchor, anchor.parts(blocks, stem=number == 0, head=last)).items():
            value = own.get(name, parameter)
            alone = alone and values.setdefault(id(parameter), value) is value
            if name in own:
                held.setdefault(str(joint), {})[name] = value
    return {joint: BehindJoint(each, behind[joint].kind) for joint, each in held.items()}, alone


@torch.no_grad()
def merge(behind: Mapping[str, BehindJoint], path: Sequence[Joint], anchors: Mapping[str, Anchor]) -> None:
    """Write what `behind_one_stitch` gave into anchors that hold nothing but what the stitch runs."""
    for joint in path:
        for name, value in behind[str(joint)].own().items() if str(joint) in behind else ():
            anchors[joint.end].model.get_parameter(name).copy_(value)


def _ownable(anchor: Anchor, kind: Owned) -> set[str]:
    if kind != "classifier":
        return set(vector_names(anchor.model, kind))
    layer = linear_classifier(anchor)
    return set() if layer is None else {f"{layer}.weight", f"{layer}.bias"}


def _read(anchor: Anchor, parts: Sequence[Part]) -> dict[str, nn.Parameter]:
    """The parameters that some parts read, under all of their names."""
    named = anchor.model.named_parameters(remove_duplicate=False)
    return {name: parameter for name, parameter in named if any(part.reads(name) for part in parts)}
