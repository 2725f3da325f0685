import dataclasses

import pytest
import torch

from stitchable.feature import FeatureSpec

TOKENS = FeatureSpec("tokens", 192, (14, 12), prefix_tokens=2)
MAP = FeatureSpec("map", 64, (8, 6), stage=2)


@pytest.mark.parametrize(("spec", "positions"), [(TOKENS, 2 + 14 * 12), (MAP, 8 * 6)])
def test_positions_are_what_is_left_without_batch_and_width(spec, positions):
    elements = torch.empty(spec.shape(5)).numel()
    assert spec.positions == positions == elements // (5 * spec.width)


def test_axes_are_in_their_order():
    assert TOKENS.shape(3) == (3, 170, 192)
    assert MAP.shape(3) == (3, 64, 8, 6)


@pytest.mark.parametrize("change", [{"width": 7}, {"stage": 3}])
@pytest.mark.parametrize("spec", [TOKENS, MAP])
def test_width_and_stage_may_differ(spec, change):
    other = dataclasses.replace(spec, **change)
    assert spec.mismatch(other) is None
    assert other.mismatch(spec) is None


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (dataclasses.replace(TOKENS, grid=(12, 14)), "grid 14×12 is not 12×14"),
        (dataclasses.replace(TOKENS, prefix_tokens=1), "2 prefix tokens are not 1"),
        (dataclasses.replace(MAP, grid=(14, 12)), "tokens cannot be joined to map"),
    ],
)
def test_what_a_stitching_layer_cannot_change_is_named(other, reason):
    assert TOKENS.mismatch(other) == reason
