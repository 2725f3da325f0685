"""Networks whose stitches share prefixes in every way that there is, and ResNets with all kinds of joints."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from stitchable.network import StitchedNetwork
from stitchable.space.build import SpaceOptions
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace

SPACES = {
    "three anchors": (3, SpaceOptions()),
    "two joints both ways": (2, SpaceOptions(direction="both", joints=2)),
}
MANY = SpaceOptions(direction="both", joints=2, stages=(0, 2), sharing="none")


@pytest.fixture(params=[*SPACES, "resnets"])
def network(
    request: pytest.FixtureRequest,
    stitched_vits: Callable[..., StitchedNetwork],
    stitched_resnets: Callable[..., StitchedNetwork],
) -> StitchedNetwork:
    if request.param == "resnets":
        return stitched_resnets()
    anchors, options = SPACES[request.param]
    return stitched_vits(options, anchors=anchors)


@pytest.fixture
def side(network: StitchedNetwork) -> int:
    return network.input_spec.size[1]


@pytest.fixture(params=["one joint", "two joints both ways", "blocks that run twice"])
def resnets(
    request: pytest.FixtureRequest, stitched_resnets: Callable[..., StitchedNetwork]
) -> StitchedNetwork:
    if request.param != "blocks that run twice":
        return stitched_resnets(None if request.param == "one joint" else MANY)
    anchors = list(stitched_resnets().anchors.values())
    there, back = Joint("shallow", 2, "deep", 1, "there"), Joint("deep", 2, "shallow", 1, "back")
    joints = [there, back, Joint("deep", 4, "shallow", 2, "further")]
    space = StitchingSpace([anchor.outline for anchor in anchors], joints, most_joints=3)
    return StitchedNetwork(anchors, space, seed=1).eval()


@pytest.fixture
def batches(noise: Callable[..., Tensor]) -> list[Tensor]:
    """Images to estimate from: three batches, the last one smaller."""
    return [noise(count, side=32, seed=100 + count) for count in (7, 6, 4)]


@pytest.fixture
def snapshot() -> Callable[[nn.Module], Callable[[], None]]:
    """Of a module; what it gives asserts that the module is as it was then, to the bit."""

    def take(module: nn.Module) -> Callable[[], None]:
        def settings() -> list[object]:
            """Everything that estimating touches for a while."""
            return [
                (
                    part.training,
                    getattr(part, "momentum", None),
                    [id(each) for each in part.buffers(recurse=False)],
                    len(part._forward_pre_hooks),
                )
                for part in module.modules()
            ]

        kept = settings()
        state = {key: value.clone() for key, value in module.state_dict().items()}

        def check() -> None:
            assert settings() == kept
            assert module.state_dict().keys() == state.keys()
            assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())

        return check

    return take
