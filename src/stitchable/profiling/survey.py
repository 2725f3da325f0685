"""Every part of a network, with what it does and holds: what stitches are put together from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from stitchable.anchors.anchor import Anchor
from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.profiling.footprint import Footprint, footprint
from stitchable.space.steps import Step


def part_of(step: Step) -> Step:
    """The part that a step runs; joints' own norms or biases change neither its time nor its size."""
    return step._replace(joint="")


@dataclass(frozen=True)
class Survey:
    """The parts of a network at one batch size and dtype.

    Attributes:
        images: Bytes of the batch of images.
        footprints: Of every stem, block, head and stitching layer.
        held: Of each, its parameters and buffers: identity and bytes.
    """

    images: int
    footprints: Mapping[Step, Footprint]
    held: Mapping[Step, Mapping[int, int]]

    def weights(self, steps: Iterable[Step]) -> int:
        """Bytes of the parameters and buffers of an extracted stitch; what parts share counts once."""
        held: dict[int, int] = {}
        for step in steps:
            held.update(self.held[part_of(step)])
        return sum(held.values())

    def memory(self, steps: Iterable[Step]) -> int:
        """Peak bytes of a stitch: weights, and the most features that are alive at a time.

        These are those of one part, with the images, which whoever calls the stitch holds, and with the
        feature before the first of neighbouring blocks, which is held until the last of them has run.
        """
        steps, peaks, entered = list(steps), [0], 0
        for before, step in zip([None, *steps], steps, strict=False):
            found = self.footprints[part_of(step)]
            if step.kind == "stem":
                peaks.append(found.peak_bytes)
            elif before and before.kind == step.kind == "block":
                peaks.append(self.images + entered + found.peak_bytes)
            else:
                peaks.append(self.images + found.peak_bytes)
                entered = found.given_bytes
        return self.weights(steps) + max(peaks)


@torch.no_grad()
def survey(network: StitchedNetwork, x: Tensor) -> Survey:
    """Run every part of a network once.

    Args:
        network: In eval mode, of the dtype and on the device of ``x``.
        x: Normalised images ``(batch, channels, rows, columns)``.

    Raises:
        StitchError: A part does not run in this dtype on this device.
    """
    footprints: dict[Step, Footprint] = {}
    held: dict[Step, dict[int, int]] = {}
    leaving: dict[tuple[str, int], list[str]] = {}
    for layer, joints in network.space.layers.items():
        leaving.setdefault((joints[0].front, joints[0].leave), []).append(layer)
    for name, anchor in network.anchors.items():
        y = x
        for cut, step in enumerate(anchor_steps(anchor)):
            for layer in leaving.get((name, cut - 1), ()):  # cut 0 lies behind the stem
                crossing = Step("layer", layer)
                footprints[crossing], _ = _run(network, crossing, y)
                held[crossing] = dict(_bytes(network.layers[layer]))
            footprints[step], y = _run(network, step, y)
            held[step] = _read(anchor, step)
    return Survey(x.nbytes, footprints, held)


def anchor_steps(anchor: Anchor) -> list[Step]:
    """Stem, blocks and head of an anchor."""
    blocks = [Step("block", anchor.name, block) for block in range(anchor.depth)]
    return [Step("stem", anchor.name), *blocks, Step("head", anchor.name)]


def _run(network: StitchedNetwork, step: Step, x: Tensor) -> tuple[Footprint, Tensor]:
    try:
        return footprint(partial(network.apply_step, step), x)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        where = (
            f"{step.kind} {step.block} of {step.name}"
            if step.kind == "block"
            else f"{step.kind} of {step.name}"
        )
        raise StitchError(
            f"The {where} does not run with {len(x)} images in {str(x.dtype).removeprefix('torch.')} on "
            f"{x.device.type} ({reason}). Choose another --dtype, --batch or --device."
        ) from error


def _read(anchor: Anchor, step: Step) -> dict[int, int]:
    """Parameters and buffers that a part of an anchor names."""
    (part,) = anchor.parts(
        [step.block] if step.kind == "block" else [], stem=step.kind == "stem", head=step.kind == "head"
    )
    model = anchor.model
    tensors = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
    return {id(tensor): tensor.nbytes for name, tensor in tensors if part.reads(name)}


def _bytes(module: nn.Module) -> Iterator[tuple[int, int]]:
    for tensor in (*module.parameters(), *module.buffers()):
        yield id(tensor), tensor.nbytes
