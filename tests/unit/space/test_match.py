import pytest

from stitchable.cost.parts import PartCost
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.space.build import SpaceOptions, build_space
from stitchable.space.match import match_stages
from stitchable.space.outline import Outline


def hierarchy(name, depths, grids, macs=1, widths=None, kind="map"):
    """An anchor whose stage i has depths[i] blocks of grid grids[i]."""
    widths = widths or [4] * len(depths)
    stages = tuple(stage for stage, depth in enumerate(depths) for _ in range(depth))
    cuts = [FeatureSpec(kind, widths[0], (grids[0], grids[0]))]
    cuts += [FeatureSpec(kind, widths[s], (grids[s], grids[s]), stage=s) for s in stages]
    part = PartCost(macs)
    return Outline(name, tuple(cuts), stages, part, (part,) * len(stages), part)


RESNET = hierarchy("resnet", (2, 2, 2, 2), (56, 28, 14, 7))
SWIN = hierarchy("swin", (2, 2, 6, 2), (56, 28, 14, 7), macs=2)
VIT = hierarchy("vit", (12,), (14,), macs=3, kind="tokens")
LARGE_PATCHES = hierarchy("patches", (12,), (10,), macs=3, kind="tokens")
NARROWING = hierarchy("b0", (1, 2, 3, 3, 1), (56, 28, 14, 14, 7), widths=[16, 24, 80, 112, 320])


def test_equally_many_stages_match_by_number_and_the_last_is_left_out():
    matches = match_stages(RESNET, SWIN)
    assert [tuple(match) for match in matches] == [
        (0, range(2), range(2)),
        (1, range(2, 4), range(2, 4)),
        (2, range(4, 6), range(4, 10)),
    ]
    assert [match.stage for match in match_stages(RESNET, SWIN, stages=(1, 3))] == [1, 3]


def test_a_plain_transformer_matches_the_stage_of_its_grid():
    assert [tuple(match) for match in match_stages(RESNET, VIT)] == [(2, range(4, 6), range(12))]
    assert [tuple(match) for match in match_stages(VIT, RESNET)] == [(0, range(12), range(4, 6))]


def test_the_most_alike_grid_where_none_is_equal():
    assert [tuple(match) for match in match_stages(RESNET, LARGE_PATCHES)] == [(2, range(4, 6), range(12))]


def test_stages_of_one_grid_are_one():
    matches = match_stages(NARROWING, SWIN)
    assert [tuple(match) for match in matches] == [
        (0, range(1), range(2)),
        (1, range(1, 3), range(2, 4)),
        (2, range(3, 9), range(4, 10)),
    ]


def test_pairs_of_different_widths_have_layers_of_their_own():
    space = build_space([NARROWING, SWIN], SpaceOptions(kernel=6))
    for joints in space.layers.values():
        assert len({space.features(joint) for joint in joints}) == 1
    assert len({joint.layer for joint in space.joints if joint.leave in (4, 7)}) == 2


def test_by_stage_joins_different_grids():
    space = build_space([LARGE_PATCHES, VIT], SpaceOptions(match="stage"))
    front, end = space.features(space.joints[0])
    assert (front.grid, end.grid) == ((10, 10), (14, 14))


def test_a_stage_that_is_not_matched():
    with pytest.raises(StitchError, match="Got stage 1; resnet can be left for vit in stage 2"):
        match_stages(RESNET, VIT, stages=(1,))


def test_the_published_count_of_a_cnn_and_a_transformer():
    assert build_space([RESNET, SWIN], SpaceOptions(stages=(1, 2))).count == 8
