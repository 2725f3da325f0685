"""One stitch as a plain module that holds only what it uses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.store import WEIGHTS, build_anchor, read_config, write_folder
from stitchable.anchors.weights import load_weights
from stitchable.behind import BehindJoint, behind_joints, behind_one_stitch, entered_anchors, merge
from stitchable.card import write_card
from stitchable.layers.stitching import StitchingLayer
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace
from stitchable.space.steps import Span
from stitchable.stitch import Stitch


class Subnetwork(nn.Module):
    """A single stitch; ``subnetwork(x)`` is bit-equal to ``network(x, stitch)``.

    It holds copies of the parameters that the stitch uses, under the names they have in the network.
    `StitchedNetwork.extract` makes one, `from_pretrained` reads a saved one.

    Args:
        stitch: A stitch of ``space``.
        space: A space that has the stitch.
        anchors: The anchors by name; what the stitch does not run is left out of the copy.
        layers: The stitching layers by id.
        behind: What joints have of their own, by joint. Their values become those of the anchors; only where
            the stitch runs a block twice, with two sets of values, both are kept apart.

    Attributes:
        calibration_images: Number of images on which the BatchNorm statistics behind the joints were
            adjusted, see `stitchable.evaluation.batch_norm`; ``None`` where they are the network's, and
            only then are the logits too.
    """

    def __init__(
        self,
        stitch: Stitch,
        space: StitchingSpace,
        anchors: Mapping[str, Anchor],
        layers: Mapping[str, StitchingLayer],
        behind: Mapping[str, BehindJoint] | None = None,
    ) -> None:
        super().__init__()
        self.stitch = stitch
        self.calibration_images: int | None = None
        self.steps = space.steps(stitch)
        self._spans = space.spans(stitch)
        held = {
            name: anchors[name].holding(
                [step.block for step in self.steps if step.kind == "block" and step.name == name],
                stem=name == stitch.anchors[0],
                head=name == stitch.anchors[-1],
            )
            for name in dict.fromkeys(stitch.anchors)
        }
        used = dict.fromkeys(step.name for step in self.steps if step.kind == "layer")
        # A ModuleDict is a mapping, which torch's own types do not say.
        self.anchors = cast(Mapping[str, Anchor], nn.ModuleDict(held))
        self.layers = cast(
            Mapping[str, StitchingLayer],
            nn.ModuleDict({layer: copy.deepcopy(layers[layer]) for layer in used}),
        )
        joints = list(dict.fromkeys(space.path(stitch)))  # a path may cross a joint again
        own: dict[str, BehindJoint] = {}
        if behind:
            own, alone = behind_one_stitch(stitch, space.path(stitch), anchors, behind)
            if alone:
                merge(own, joints, self.anchors)
                own = {}
        self.behind = cast(Mapping[str, BehindJoint], nn.ModuleDict(own))
        self._space = StitchingSpace(
            [space.outlines[name] for name in held], joints, most_joints=len(stitch.joints)
        )
        self._entered = entered_anchors(self._space, self.anchors, self.behind)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` of normalised images ``(batch, channels, rows, columns)``."""
        return run_spans(self.anchors, self.layers, self._spans, x, entered=self._entered)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Subnetwork:
        apply: Any = super()._apply  # torch does not type it
        apply(fn, recurse)
        self._entered = entered_anchors(self._space, self.anchors, self.behind)
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Write configuration, weights and a card; `from_pretrained` needs nothing but the folder.

        Raises:
            StitchError: An anchor does not say how its architecture is built again.
        """
        folder = Path(folder)
        anchors = list(self.anchors.values())
        entries: dict[str, Any] = {"stitch": str(self.stitch), "space": self._space.to_dict()}
        if self.calibration_images is not None:
            entries["calibration_images"] = self.calibration_images
        if self.behind:
            entries["behind"] = next(iter(self.behind.values())).kind
        write_folder(folder, "subnetwork", module=self, anchors=anchors, entries=entries)
        write_card(
            folder,
            self._space,
            self.anchors[self.stitch.anchors[-1]],
            stitch=self.stitch,
            calibration_images=self.calibration_images,
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, trust_code: bool = False) -> Subnetwork:
        """Read a saved stitch, in eval mode.

        Args:
            folder: What `save_pretrained` wrote.
            trust_code: Allow the folder's own architecture files to run.

        Raises:
            StitchError: Not such a folder, broken weights, or code that is not trusted.
        """
        folder = Path(folder)
        config = read_config(folder, "subnetwork")
        anchors, space = read_anchors(folder, config, trust_code=trust_code)
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global state at first
            layers = {
                layer: StitchingLayer(*space.features(joints[0])) for layer, joints in space.layers.items()
            }
        kind = config.get("behind")
        behind = behind_joints(space, anchors, kind) if kind else None
        sub = cls(space.stitch(config["stitch"]), space, anchors, layers, behind)
        load_weights(sub, folder / WEIGHTS)
        sub.calibration_images = config.get("calibration_images")
        return sub.eval()


def run_spans(
    anchors: Mapping[str, Anchor],
    layers: Mapping[str, StitchingLayer],
    spans: Sequence[Span],
    x: Tensor,
    *,
    entered: Mapping[str, Anchor],
) -> Tensor:
    """Run a whole path, from images to logits.

    Args:
        anchors: By name.
        layers: By id.
        spans: The path.
        x: Normalised images ``(batch, channels, rows, columns)``.
        entered: By joint, the end anchor as it runs behind it, where that is another.
    """
    anchor = anchors[spans[0].anchor]
    x = anchor.stem(x)
    for name, start, stop, layer, joint in spans:
        anchor = entered[joint] if joint in entered else anchors[name]
        x = anchor.run(x, start, stop)
        if layer is not None:
            x = layers[layer](x)
    return anchor.head(x)


def read_anchors(
    folder: Path, config: Mapping[str, Any], *, trust_code: bool
) -> tuple[dict[str, Anchor], StitchingSpace]:
    """Anchors with random weights, and the space, of a saved network or stitch."""
    anchors = [build_anchor(folder, entry, trust_code=trust_code) for entry in config["anchors"]]
    given = config["space"]
    space = StitchingSpace(
        [anchor.outline for anchor in anchors],
        [Joint(*each) for each in given["joints"]],
        most_joints=given["most_joints"],
    )
    return {anchor.name: anchor for anchor in anchors}, space
