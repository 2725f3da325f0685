"""An architecture of one's own: the CIFAR ResNets of He et al. 2016, described for stitching.

The network is some forty lines of plain PyTorch; what `stitchable` needs to know about it is
`_anchor` below. Use it from the command line as ``examples/cifar_resnets.py:resnet20@weights``.

Source: He et al. 2016, section 4.2 (option A shortcuts: every second pixel, new channels zero). The
parameters' names are those of the weights by Yerlan Idelbayev (BSD-2-Clause).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.split import Part, Split, submodule
from stitchable.input_spec import InputSpec

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut without parameters."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.new = stride, width - width_in

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, width_in, rows, columns)`` to ``(batch, width, rows/stride, columns/stride)``."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.new or self.stride > 1:
            half = self.new // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.new - half))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    """Three stages of ``blocks`` residual blocks, 16, 32 and 64 channels wide, for 32×32 images."""

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, (width_in, width) in enumerate(((16, 16), (16, 32), (32, 64)), start=1):
            first = Block(width_in, width, 1 if stage == 1 else 2)
            rest = [Block(width, width, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(first, *rest))
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` of normalised images ``(batch, 3, 32, 32)``."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        y: Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return y


def _anchor(name: str, blocks: int) -> Anchor:
    return Anchor(
        CifarResNet(blocks),
        Split(
            stem=Part(lambda model, x: F.relu(model.bn1(model.conv1(x))), ("conv1", "bn1")),
            blocks=tuple(submodule(f"layer{s}.{i}") for s in (1, 2, 3) for i in range(blocks)),
            head=Part(lambda model, x: model.linear(F.adaptive_avg_pool2d(x, 1).flatten(1)), ("linear",)),
            stages=(0,) * blocks + (1,) * blocks + (2,) * blocks,
        ),
        name=name,
        input_spec=InputSpec((3, 32, 32), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        classes=CLASSES,
    )


def resnet20() -> Anchor:
    """Three blocks per stage."""
    return _anchor("resnet20", 3)


def resnet32() -> Anchor:
    """Five blocks per stage."""
    return _anchor("resnet32", 5)


def resnet44() -> Anchor:
    """Seven blocks per stage."""
    return _anchor("resnet44", 7)


def resnet56() -> Anchor:
    """Nine blocks per stage."""
    return _anchor("resnet56", 9)
