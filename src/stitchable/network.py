"""The stitched network: anchors, stitching layers and the space of paths through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.store import WEIGHTS, read_config, write_folder
from stitchable.anchors.weights import load_weights
from stitchable.behind import BehindJoint, Owned, behind_joints, entered_anchors
from stitchable.card import write_card
from stitchable.cost.parts import Cost
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec
from stitchable.layers.stitching import StitchingLayer
from stitchable.modes import evaluating
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.outline import Outline
from stitchable.space.prune import ListedSpace
from stitchable.space.space import StitchingSpace
from stitchable.space.steps import Step
from stitchable.stitch import Stitch
from stitchable.subnetwork import Subnetwork, read_anchors, run_spans


class StitchedNetwork(nn.Module):
    """Several anchors in one network; which stitch runs is an argument of every call.

    There is no active stitch and no hidden state, so calls from several threads do not disturb each
    other. Parameters are named ``anchors.<name>.model.…`` as in the original, and ``layers.<id>.…``;
    those that joints have of their own, if any, ``behind.<joint>.…``, see `own_behind_joints`.

    Args:
        anchors: Two or more, of the same classes, input size and normalisation.
        space: The paths; built from `SpaceOptions` where options or nothing are given.
        seed: Seed of the stitching layers' Kaiming initialisation.

    Raises:
        StitchError: The anchors do not go together.

    Example:
        >>> from stitchable.anchors.load import anchor_from_timm
        >>> small = {"img_size": 32, "depth": 3, "num_classes": 10}
        >>> anchors = [
        ...     anchor_from_timm(f"vit_{size}_patch16_224", name=size, arguments=small)
        ...     for size in ("tiny", "small")
        ... ]
        >>> network = StitchedNetwork(anchors).eval()
        >>> network.space.count
        9
        >>> network(torch.zeros(2, 3, 32, 32), "tiny[0:1]+small[1:3]").shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        anchors: Sequence[Anchor],
        space: StitchingSpace | SpaceOptions | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_compatible(anchors)
        outlines = [anchor.outline for anchor in anchors]
        self.space = space if isinstance(space, StitchingSpace) else build_space(outlines, space)
        check_space(self.space, outlines)
        by_name = {anchor.name: anchor for anchor in anchors}
        # A ModuleDict is a mapping, which torch's own types do not say.
        self.anchors = cast(
            Mapping[str, Anchor], nn.ModuleDict({name: by_name[name] for name in self.space.outlines})
        )
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global state at first
            layers = {
                layer: StitchingLayer(*self.space.features(joints[0]))
                for layer, joints in self.space.layers.items()
            }
        self.layers = cast(Mapping[str, StitchingLayer], nn.ModuleDict(layers))
        generator = torch.Generator().manual_seed(seed)
        for layer in self.layers.values():
            layer.reset_kaiming(generator)
        self._start_prefixes()
        self.behind = cast(Mapping[str, BehindJoint], nn.ModuleDict())
        self._entered: dict[str, Anchor] = {}
        self._spans = lru_cache(maxsize=4096)(self.space.spans)

    @torch.no_grad()
    def _start_prefixes(self) -> None:
        """Prefix tokens that a front does not have begin as the end anchor's own stem gives them."""
        for name, joints in self.space.layers.items():
            layer, anchor = self.layers[name], self.anchors[joints[0].end]
            device = next(anchor.parameters()).device
            if layer.prefix is None or device.type == "meta":
                continue
            with evaluating(anchor):
                tokens = anchor.stem(torch.zeros(1, *anchor.input_spec.size, device=device))
            layer.set_prefix(tokens[0, layer.kept : layer.end.prefix_tokens])

    def forward(self, x: Tensor, stitch: Stitch | str) -> Tensor:
        """Run one stitch.

        Args:
            x: Normalised images, ``(batch, channels, rows, columns)``.
            stitch: The stitch, its text id, or an anchor's name.

        Returns:
            Logits ``(batch, classes)``.

        Raises:
            StitchError: The stitch is not in the space; the nearest ones are named.
        """
        return run_spans(self.anchors, self.layers, self._spans(stitch), x, entered=self._entered)

    def apply_step(self, step: Step, x: Tensor) -> Tensor:
        """Run one step of a path on the feature that the step before it left, or a stem on images."""
        if step.kind == "layer":
            y: Tensor = self.layers[step.name](x)
            return y
        anchor = self.running(step)
        if step.kind == "block":
            return anchor.run(x, step.block, step.block + 1)
        return anchor.stem(x) if step.kind == "stem" else anchor.head(x)

    def running(self, step: Step) -> Anchor:
        """The anchor that runs a stem, a block or a head: behind a joint, with what that joint owns."""
        return self._entered[step.joint] if step.joint in self._entered else self.anchors[step.name]

    def all_anchors(self) -> list[Anchor]:
        """Every anchor, and every end anchor as it runs behind a joint that has parameters of its own."""
        return [*self.anchors.values(), *self._entered.values()]

    def own_behind_joints(self, kind: Owned) -> None:
        """Give every joint its own norms, biases or classifier of its end anchor, for what runs behind it.

        They are parameters ``behind.<joint>.<name in the anchor's model>`` and begin with the anchor's
        values, so that nothing changes at first. Paths through several joints use those of the last one
        taken. A stitch costs what it did; the network holds more.

        Args:
            kind: See `stitchable.behind.Owned`. Nothing is done where they are there already.

        Raises:
            StitchError: The joints have parameters of the other kind, or there are none of this kind.
        """
        if self.owned not in (None, kind):
            raise StitchError(f"The joints have {self.owned} of their own already; tune these, not {kind}.")
        if self.owned is None:
            self.behind = behind_joints(self.space, self.anchors, kind)
            self._entered = entered_anchors(self.space, self.anchors, self.behind)

    @property
    def owned(self) -> Owned | None:
        """What joints have of their own, if anything."""
        return next((each.kind for each in self.behind.values()), None)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StitchedNetwork:
        apply: Any = super()._apply  # torch does not type it
        apply(fn, recurse)
        # Tensors may have been replaced.
        self._entered = entered_anchors(self.space, self.anchors, self.behind)
        return self

    def cost(self, stitch: Stitch | str) -> Cost:
        """MACs for one image and params of a stitch."""
        return self.space.cost(stitch)

    def extract(self, stitch: Stitch | str) -> Subnetwork:
        """Copy one stitch out of the network, in the network's training mode.

        Returns:
            A module that holds only what the stitch uses and shares no memory with the network; its
            output is bit-equal to ``network(x, stitch)``.

        Raises:
            StitchError: The stitch is not in the space.
        """
        stitch = self.space.stitch(stitch)
        sub = Subnetwork(stitch, self.space, self.anchors, self.layers, self.behind)
        return sub.train(self.training)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write configuration, weights and a card; `from_pretrained` needs nothing but the folder.

        Args:
            folder: Created where missing; files of the same names are replaced, each whole or not at
                all.

        Raises:
            StitchError: An anchor does not say how its architecture is built again.
        """
        folder, anchors = Path(folder), list(self.anchors.values())
        outlines = {name: {"stages": outline.stages} for name, outline in self.space.outlines.items()}
        entries: dict[str, Any] = {"space": self.space.to_dict(), "outlines": outlines}
        if self.owned:
            entries["behind"] = self.owned
        write_folder(folder, "network", module=self, anchors=anchors, entries=entries)
        count = sum(parameter.numel() for each in self.behind.values() for parameter in each.parameters())
        write_card(folder, self.space, anchors[0], owned=(self.owned, count) if self.owned else None)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, trust_code: bool = False) -> StitchedNetwork:
        """Read a saved network, in eval mode.

        Args:
            folder: What `save_pretrained` wrote.
            trust_code: Allow the folder's own architecture files to run.

        Raises:
            StitchError: Not such a folder, a newer format, broken weights, or code that is not trusted.
        """
        folder = Path(folder)
        config = read_config(folder, "network")
        anchors, space = read_anchors(folder, config, trust_code=trust_code)
        members = config["space"].get("members")
        network = cls(list(anchors.values()), space if members is None else ListedSpace(space, members))
        if config.get("behind"):
            network.own_behind_joints(config["behind"])
        load_weights(network, folder / WEIGHTS)
        return network.eval()

    @property
    def input_spec(self) -> InputSpec:
        """Size and normalisation of the images that all anchors take."""
        return next(iter(self.anchors.values())).input_spec

    @property
    def class_count(self) -> int:
        """Number of logits."""
        return next(iter(self.anchors.values())).class_count

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names in the order of the logits, where an anchor knows them."""
        return next((anchor.classes for anchor in self.anchors.values() if anchor.classes), None)


def check_compatible(anchors: Sequence[Anchor]) -> None:
    """Make sure that anchors take the same images and tell the same classes apart.

    Raises:
        StitchError: They differ; the message names the two anchors and what differs. Or one of them has
            another number of class names than of logits.
    """
    check_same_images(anchors)
    check_same_classes(anchors)


def check_same_images(anchors: Sequence[Anchor]) -> None:
    """Make sure that anchors take the same images. Raises as `check_compatible`."""
    for first, other in combinations(anchors, 2):
        reason = first.input_spec.mismatch(other.input_spec)
        if reason:
            raise StitchError(
                f"{first.name} and {other.name} take different images: {reason}. "
                "Join anchors that were trained on the same input, or let all take that of one "
                f"(--inputs {other.name}): the others then convert their images."
            )


def check_same_classes(anchors: Sequence[Anchor]) -> None:
    """Make sure that anchors tell the same classes apart. Raises as `check_compatible`."""
    for anchor in anchors:
        if anchor.classes and len(anchor.classes) != anchor.class_count:
            raise StitchError(
                f"{anchor.name} has {len(anchor.classes)} class names for {anchor.class_count} logits. "
                "Give one name per logit, or none."
            )
    for first, other in combinations(anchors, 2):
        if first.class_count != other.class_count:
            raise StitchError(
                f"{first.name} tells {first.class_count} classes apart, {other.name} {other.class_count}. "
                "Join anchors of one task."
            )
        if first.classes and other.classes and first.classes != other.classes:
            if sorted(first.classes) == sorted(other.classes):
                raise StitchError(
                    f"{first.name} and {other.name} have the same classes in another order. Bring the "
                    "outputs of one into the order of the other before you join them."
                )
            names = list(zip(first.classes, other.classes, strict=True))
            where = next(index for index, (a, b) in enumerate(names) if a != b)
            raise StitchError(
                f"Class {where} is {names[where][0]!r} for {first.name} and {names[where][1]!r} for "
                f"{other.name}. Join anchors with the same classes in the same order."
            )


def check_space(space: StitchingSpace, outlines: Sequence[Outline]) -> None:
    """Make sure that a space is of the very anchors whose outlines are given.

    Raises:
        StitchError: Two anchors have one name, or names, depths, features, stages or costs differ.
    """
    names = [outline.name for outline in outlines]
    if len(set(names)) < len(names):
        raise StitchError(f"Anchor names must differ; got {', '.join(names)}. Name them like 'small=…'.")
    if set(names) != space.outlines.keys():
        raise StitchError(f"The space is of the anchors {', '.join(space.outlines)}; got {', '.join(names)}.")
    for outline in outlines:
        planned = space.outlines[outline.name]
        if planned == outline:
            continue
        pairs = zip(planned.features, outline.features, strict=False)
        cut = next((number for number, (a, b) in enumerate(pairs) if a != b), None)
        if planned.depth != outline.depth:
            reason = f"of {planned.depth} blocks; it has {outline.depth}"
        elif cut is not None:
            a, b = planned.features[cut].shape(1)[1:], outline.features[cut].shape(1)[1:]
            reason = f"whose cut {cut} carries {a}; it carries {b}"
        else:
            reason = "of other stages or costs"
        raise StitchError(
            f"The space is of an anchor {outline.name} {reason}. Build it from the outlines of these anchors."
        )
