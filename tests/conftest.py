"""Fixtures for every test: where the real data lies, outlines without torch, and tiny real models."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stitchable.cost.parts import PartCost
from stitchable.feature import FeatureSpec
from stitchable.space.outline import Outline

# Models this small lose more by sharing a layer among threads than they gain.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if TYPE_CHECKING:
    from stitchable.anchors.anchor import Anchor
    from stitchable.network import StitchedNetwork


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data sets and weights: $STITCHABLE_DATA, or shared/data beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("STITCHABLE_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set STITCHABLE_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def cifar_resnets() -> Path:
    """The example's file that describes an architecture of one's own."""
    return Path(__file__).resolve().parents[1] / "examples" / "cifar_resnets.py"


@pytest.fixture(scope="session")
def outline() -> Callable[..., Outline]:
    """Builder of outlines: every part has ``width`` params and costs ``macs``, by default as many."""

    def build(name: str, depth: int | Sequence[int], width: int = 8, macs: int | None = None) -> Outline:
        """Plain tokens for a depth; maps that halve their grid and double their width for stages."""
        stages = (0,) * depth if isinstance(depth, int) else tuple(_stages(depth))
        if isinstance(depth, int):
            features = [FeatureSpec("tokens", width, (2, 2), prefix_tokens=1)] * (depth + 1)
        else:
            features = [FeatureSpec("map", width, (16, 16))]
            features += [FeatureSpec("map", width << s, (16 >> s, 16 >> s), stage=s) for s in stages]
        macs = width if macs is None else macs
        blocks = tuple(PartCost(macs, ((f"{name} block {i}", width),)) for i in range(len(stages)))
        stem, head = (PartCost(macs, ((f"{name} {part}", width),)) for part in ("stem", "head"))
        return Outline(name, tuple(features), stages, stem, blocks, head)

    return build


def _stages(depths: Sequence[int]) -> list[int]:
    return [stage for stage, depth in enumerate(depths) for _ in range(depth)]


@pytest.fixture(scope="session")
def vit() -> Callable[..., Anchor]:
    """Builder of plain ViTs for 32×32 images: five tokens, three blocks, ten classes."""
    from stitchable.anchors.load import anchor_from_timm

    def build(name: str, width: int, **changes: Any) -> Anchor:
        arguments = {"img_size": 32, "depth": 3, "num_heads": 2, "num_classes": 10, **changes}
        return anchor_from_timm(
            "vit_tiny_patch16_224", name=name, arguments={"embed_dim": width, **arguments}
        )

    return build


@pytest.fixture(scope="session")
def resnet() -> Callable[..., Anchor]:
    """Builder of narrow ResNets for 32×32 images: the depths are the model's own."""
    from stitchable.anchors.load import anchor_from_timm
    from stitchable.input_spec import InputSpec

    def build(name: str, model: str = "resnet18", **changes: Any) -> Anchor:
        arguments = {"channels": [4, 8, 12, 16], "num_classes": 10, **changes}
        images = InputSpec((3, 32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        return anchor_from_timm(model, name=name, arguments=arguments, input_spec=images)

    return build


@pytest.fixture(scope="session")
def vit_network(vit: Callable[..., Anchor]) -> StitchedNetwork:
    """Two ViTs of equal depth, joined at equal cuts both ways, up to three joints. Not to be changed."""
    from stitchable.network import StitchedNetwork
    from stitchable.space.build import SpaceOptions

    anchors = [vit("small", 16), vit("large", 24)]
    return StitchedNetwork(anchors, SpaceOptions(kernel=1, direction="both", joints=3)).eval()


@pytest.fixture(scope="session")
def resnet_network(resnet: Callable[..., Anchor]) -> StitchedNetwork:
    """ResNet-18 into ResNet-50 in the second and third stage. Not to be changed."""
    from stitchable.network import StitchedNetwork
    from stitchable.space.build import SpaceOptions

    anchors = [resnet("r18"), resnet("r50", "resnet50")]
    return StitchedNetwork(anchors, SpaceOptions(stages=(1, 2))).eval()


@pytest.fixture(scope="session")
def cifar_network(cifar_resnets: Path) -> StitchedNetwork:
    """ResNet-20 and ResNet-32 of an own file, every joint with its own layer. Not to be changed."""
    from stitchable.anchors.load import anchor_from_file
    from stitchable.network import StitchedNetwork
    from stitchable.space.build import SpaceOptions

    anchors = [anchor_from_file(cifar_resnets, name) for name in ("resnet20", "resnet32")]
    return StitchedNetwork(anchors, SpaceOptions(stages=(0, 1, 2), sharing="none")).eval()


@pytest.fixture(params=["vit_network", "resnet_network", "cifar_network"])
def network(request: pytest.FixtureRequest) -> StitchedNetwork:
    """Each of the three networks in turn. Not to be changed."""
    return request.getfixturevalue(request.param)
