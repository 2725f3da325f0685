"""Backbones that keep stem, stages and last convolution as the children of one ``features``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from stitchable.anchors.split import Part, Run, submodule, submodules


def alternating(features: Sequence[nn.Module]) -> tuple[tuple[Part, ...], tuple[int, ...]]:
    """Blocks of a ``features`` of the form stem, stage, down-sampling, stage, …, stage.

    Returns:
        One part per block, and the stage of each.
    """
    blocks, stages = [], []
    for stage, position in enumerate(range(1, len(features), 2)):
        for block in range(len(list(features[position].children()))):
            name = f"features.{position}.{block}"
            opens = block == 0 and stage > 0
            blocks.append(submodules(f"features.{position - 1}", name) if opens else submodule(name))
            stages.append(stage)
    return tuple(blocks), tuple(stages)


def last_convolution_and(head: Run, last: str, uses: Sequence[str]) -> Part:
    """The head of a network whose ``features`` end in a convolution behind the last block.

    Args:
        head: From the output of ``features`` to the logits.
        last: Dotted name of that convolution.
        uses: What ``head`` reads.
    """
    convolution = submodule(last).run

    def run(model: Any, x: Tensor) -> Tensor:
        return head(model, convolution(model, x))

    return Part(run, (last, *uses))


def grouped(blocks: Sequence[Any]) -> tuple[int, ...]:
    """Stages of inverted residuals that stand in one row: the groups of the architecture's table.

    A group opens with the block that changes width or grid and therefore has no residual connection.

    Args:
        blocks: The blocks, in order; torchvision's classes say ``use_res_connect``.

    Returns:
        Stage of every block, from 0.
    """
    stages, stage = [], 0
    for index, block in enumerate(blocks):
        stage += index > 0 and not block.use_res_connect
        stages.append(stage)
    return tuple(stages)
