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


def test_channels_may_come_last():
    assert dataclasses.replace(MAP, channels_last=True).shape(3) == (3, 8, 6, 64)


@pytest.mark.parametrize("change", [{"width": 7}, {"stage": 3}])
@pytest.mark.parametrize("spec", [TOKENS, MAP])
def test_width_and_stage_need_no_adapter(spec, change):
    other = dataclasses.replace(spec, **change)
    assert spec.differences(other) == other.differences(spec) == ()


@pytest.mark.parametrize(
    ("other", "differences"),
    [
        (dataclasses.replace(TOKENS, grid=(12, 14)), ("grid 14×12 to 12×14",)),
        (dataclasses.replace(TOKENS, prefix_tokens=1), ("2 prefix tokens to 1",)),
        (
            dataclasses.replace(MAP, grid=(14, 12), channels_last=True),
            ("tokens to channels-last map", "2 prefix tokens to 0"),
        ),
    ],
)
def test_what_an_adapter_must_change_is_named(other, differences):
    assert TOKENS.differences(other) == differences
