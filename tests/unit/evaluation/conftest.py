"""Networks whose stitches share prefixes in every way that there is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stitchable.network import StitchedNetwork
from stitchable.space.build import SpaceOptions

SPACES = {
    "three anchors": (3, SpaceOptions()),
    "two joints both ways": (2, SpaceOptions(direction="both", joints=2)),
}


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
