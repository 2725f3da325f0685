"""An anchor: a pretrained model that can be run from any cut to any later one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from stitchable.anchors.conversion import convert_images
from stitchable.anchors.copies import holding_only, on_meta
from stitchable.anchors.source import Source
from stitchable.anchors.split import Part, Split
from stitchable.anchors.twin import twin_of
from stitchable.cost.macs import count_macs
from stitchable.cost.parts import PartCost
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.input_spec import InputSpec
from stitchable.space.outline import Outline
from stitchable.stitch import check_anchor_name


class Anchor(nn.Module):
    """A model and the description of its cuts.

    The model is held, not edited: its parameters keep their names under ``model``, and
    ``anchor(x)`` equals the logits of ``model(x)`` bit for bit (see `stitchable.anchors.check.check_anchor`).

    Args:
        model: Takes image batches ``(batch, channels, rows, columns)``, returns logits
            ``(batch, classes)`` or an object that holds them as ``logits``.
        split: Its stem, blocks and head.
        name: Name in stitch ids.
        input_spec: Size and normalisation of the images it expects.
        classes: Class names in the order of the logits, where known.
        source: How to build the architecture again; needed to save it.
        own_input: What the model itself takes, where that differs from ``input_spec``: the stem then begins
            with a conversion. See `taking`.

    Raises:
        StitchError: The description does not fit the model.
    """

    def __init__(
        self,
        model: nn.Module,
        split: Split,
        *,
        name: str,
        input_spec: InputSpec,
        classes: Sequence[str] | None = None,
        source: Source | None = None,
        own_input: InputSpec | None = None,
    ) -> None:
        super().__init__()
        self.name = check_anchor_name(name)
        if hasattr(nn.ModuleDict(), name):
            raise StitchError(f"Anchor name {name!r} is taken by PyTorch's modules. Choose another one.")
        if not split.blocks or len(split.stages) != len(split.blocks):
            raise StitchError(
                f"{name}: got {len(split.blocks)} blocks and {len(split.stages)} stage numbers; "
                "give at least one block and one stage number per block."
            )
        steps = [0, *split.stages]
        if any(after - before not in (0, 1) for before, after in pairwise(steps)):
            raise StitchError(f"{name}: stages {split.stages} must start at 0 and rise by at most one.")
        self.model = model
        self.split = split
        self.input_spec = input_spec
        self.own_input = own_input or input_spec
        self.classes = tuple(classes) if classes is not None else None
        self.source = source
        self.outline = _outline(self)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.split.blocks)

    @property
    def features(self) -> tuple[FeatureSpec, ...]:
        """Specs of the ``depth + 1`` cuts; cut ``i`` lies before block ``i``."""
        return self.outline.features

    @cached_property
    def class_count(self) -> int:
        """Number of logits."""
        with torch.no_grad():
            twin = on_meta(self.model)
            return int(self.split.head.run(twin, _meta(self.features[-1].shape(1))).shape[-1])

    def taking(self, spec: InputSpec) -> Anchor:
        """This anchor, of the same model, for images of another size or normalisation.

        Its stem converts them to what the model takes. That costs accuracy where it resizes.

        Args:
            spec: The images to take; as many channels as the model has.

        Raises:
            StitchError: The number of channels differs.
        """
        if spec.size[0] != self.own_input.size[0]:
            raise StitchError(
                f"{self.name} takes {self.own_input.size[0]} channels; images of {spec.size[0]} cannot be "
                "converted."
            )
        anchor = Anchor(
            self.model,
            self.split,
            name=self.name,
            input_spec=spec,
            classes=self.classes,
            source=self.source,
            own_input=self.own_input,
        )
        return anchor.train(self.training)

    def own_images(self, x: Tensor) -> Tensor:
        """Images of ``input_spec`` as the model itself takes them; most often the same."""
        return convert_images(x, self.input_spec, self.own_input)

    def stem(self, x: Tensor) -> Tensor:
        """From images to the feature at cut 0."""
        return self.split.stem.run(self.model, self.own_images(x))

    def head(self, x: Tensor) -> Tensor:
        """From the feature at the last cut to logits."""
        return self.split.head.run(self.model, x)

    def run(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Run blocks ``start`` to ``stop - 1`` on the feature at cut ``start``."""
        model = self.model
        for block in self.split.blocks[start:stop]:
            x = block.run(model, x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the recomposed model."""
        return self.head(self.run(self.stem(x), 0, self.depth))

    def parts(self, blocks: Iterable[int], *, stem: bool, head: bool) -> tuple[Part, ...]:
        """The parts named: some blocks, with or without stem and head."""
        chosen = [self.split.blocks[index] for index in blocks]
        return (*([self.split.stem] if stem else []), *chosen, *([self.split.head] if head else []))

    def holding(self, blocks: Iterable[int], *, stem: bool, head: bool) -> Anchor:
        """Copy of this anchor that holds the parameters of some parts alone.

        Its outline stays that of the whole anchor; running a part that it does not hold fails.
        """
        parts = self.parts(blocks, stem=stem, head=head)
        model = holding_only(self.model, chain.from_iterable(part.uses for part in parts))
        return self._of(model).train(self.training)

    def reading(self, own: Mapping[str, nn.Parameter]) -> Anchor:
        """This anchor with some other parameters; all else is shared, see `stitchable.anchors.twin`.

        Args:
            own: By their names in the model.
        """
        return self._of(twin_of(self.model, own))

    def _of(self, model: nn.Module) -> Anchor:
        """The same description of another model."""
        clone = self.__class__.__new__(self.__class__)
        nn.Module.__init__(clone)
        for attribute in ("name", "split", "input_spec", "own_input", "classes", "source", "outline"):
            setattr(clone, attribute, getattr(self, attribute))
        clone.model = model
        return clone


def logits_of(output: Any) -> Any:
    """Logits of what a model returned: itself, or its ``logits``, as with Hugging Face."""
    return getattr(output, "logits", output)


def _meta(shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, device="meta")


def _outline(anchor: Anchor) -> Outline:
    """Follow shapes and costs through a meta twin, one part at a time."""
    twin, split = on_meta(anchor.model), anchor.split
    labels = _parameter_labels(anchor.name, twin, split)
    x = _meta((1, *anchor.own_input.size))
    features: list[FeatureSpec] = []
    costs: list[PartCost] = []
    for index, part in enumerate((split.stem, *split.blocks, split.head)):
        try:
            macs, x = count_macs(partial(part.run, twin), x)
        except (RuntimeError, AttributeError, TypeError, ValueError) as error:
            where = "stem" if index == 0 else "head" if index > len(split.blocks) else f"block {index - 1}"
            raise StitchError(
                f"{anchor.name}: the {where} does not take a feature of shape {tuple(x.shape)} "
                f"({_first_line(error)}). Check the anchor's description and input size "
                f"{anchor.own_input.size}."
            ) from error
        costs.append(PartCost(macs, labels[index]))
        if index <= len(split.blocks):
            features.append(_spec(anchor.name, split, x, stage=split.stages[max(index - 1, 0)]))
    return Outline(anchor.name, tuple(features), split.stages, costs[0], tuple(costs[1:-1]), costs[-1])


def _spec(name: str, split: Split, x: Tensor, *, stage: int) -> FeatureSpec:
    if x.ndim == 4 and split.channels_last:
        return FeatureSpec("map", x.shape[3], (x.shape[1], x.shape[2]), stage=stage, channels_last=True)
    if x.ndim == 4:
        return FeatureSpec("map", x.shape[1], (x.shape[2], x.shape[3]), stage=stage)
    if x.ndim != 3:
        raise StitchError(f"{name}: a cut carries shape {tuple(x.shape)}; maps have 4 axes, tokens 3.")
    patches = x.shape[1] - split.prefix_tokens
    grid = split.grid or (int(patches**0.5), int(patches**0.5))
    if grid[0] * grid[1] != patches:
        raise StitchError(
            f"{name}: {x.shape[1]} tokens are not {split.prefix_tokens} prefix tokens and a "
            f"{grid[0]}×{grid[1]} grid. Give prefix_tokens and grid in its Split."
        )
    return FeatureSpec("tokens", x.shape[2], grid, prefix_tokens=split.prefix_tokens, stage=stage)


def _parameter_labels(anchor: str, model: nn.Module, split: Split) -> list[tuple[tuple[str, int], ...]]:
    """Per part: one label for all it holds alone, and each shared parameter's own."""
    held = []
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for part in (split.stem, *split.blocks, split.head):
        found = {
            id(parameter): (f"{anchor}.{names[id(parameter)]}", parameter.numel())
            for name, parameter in model.named_parameters(remove_duplicate=False)
            if part.reads(name)
        }
        held.append(found)
    owners: dict[int, int] = {}
    for found in held:
        for key in found:
            owners[key] = owners.get(key, 0) + 1
    labels = []
    for number, found in enumerate(held):
        alone = sum(size for key, (_, size) in found.items() if owners[key] == 1)
        shared = [label for key, label in found.items() if owners[key] > 1]
        labels.append(((f"{anchor} part {number}", alone), *shared))
    return labels


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
