"""Matched features against the hidden features of the originals, block by block."""

import pytest
import torch
import torch.nn.functional as F

from stitchable.errors import StitchError
from stitchable.space.build import SpaceOptions
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.objectives.build import build_objective
from stitchable.training.options import TrainOptions

JOINED = "small[0:1]+medium[1:3]"


def by_hand(anchor, x, start, stop):
    for block in anchor.model.blocks[start:stop]:
        x = block(x)
    return x


@pytest.mark.parametrize(("match_cut", "cut"), [(-1, 3), (-2, 2), (-3, 1), (-4, 1)])
def test_features_are_matched_with_the_end_anchor_s_original(network, batch, loss, match_cut, cut):
    losses = loss(JOINED, cross_entropy=0.0, feature_matching=1.0, match_cut=match_cut)
    small, medium, original = (
        *(network.anchors[name] for name in ("small", "medium")),
        loss.before.anchors["medium"],
    )
    layer = network.layers[network.space.spans(network.space.stitch(JOINED))[0].layer]
    entered = layer(by_hand(small, small.stem(batch[0]), 0, 1))
    ours, wanted = by_hand(medium, entered, 1, cut), by_hand(original, original.stem(batch[0]), 0, cut)
    spread = (wanted - wanted.mean((0, 1), keepdim=True)).square().sum()
    expected = (ours - wanted).square().sum() / spread
    torch.testing.assert_close(losses.total, expected)
    given = torch.autograd.grad(losses.total, list(network.parameters()), allow_unused=True)
    found = torch.autograd.grad(expected, list(network.parameters()), allow_unused=True)
    for ours, theirs in zip(given, found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_maps_are_matched_channel_by_channel(stitched_resnets, labelled):
    network = stitched_resnets().double()
    ((images, labels),) = labelled(1, 6, side=32)
    images, stitch = images.double(), network.space.stitch("shallow[0:1]+deep[1:13]")
    options = TrainOptions(objective=ObjectiveOptions(feature_matching=2.0))
    losses = build_objective(network, options)(network, [stitch], images, labels, step=0)
    model, seen = network.anchors["deep"].model, []
    hook = model.global_pool.register_forward_hook(lambda part, given, out: seen.append(given[0]))
    logits = network(images, stitch)
    network(images, "deep")
    hook.remove()
    spread = (seen[1] - seen[1].mean((0, 2, 3), keepdim=True)).square().sum()
    distance = (seen[0] - seen[1]).square().sum() / spread
    expected = F.cross_entropy(logits, labels, label_smoothing=0.1) + 2 * distance
    torch.testing.assert_close(losses.total, expected)


def test_a_path_that_comes_back_is_matched_at_its_end(stitched_vits, batch):
    network = stitched_vits(SpaceOptions(kernel=1, direction="both", joints=2)).double()
    stitch = network.space.stitch("medium[0:3]+small[2:3]+medium[2:3]")
    options = TrainOptions(objective=ObjectiveOptions(cross_entropy=0.0, feature_matching=1.0, match_cut=-2))
    losses = build_objective(network, options)(network, [stitch], *batch, step=0)
    seen = []
    hook = (
        network.anchors["medium"]
        .model.blocks[2]
        .register_forward_hook(lambda part, given, out: seen.append(given[0]))
    )
    network(batch[0], stitch)
    network(batch[0], "medium")
    hook.remove()
    _, second, alone = seen
    spread = (alone - alone.mean((0, 1), keepdim=True)).square().sum()
    torch.testing.assert_close(losses.total, (second - alone).square().sum() / spread)


def test_a_cut_before_the_stem_is_refused(network):
    options = TrainOptions(objective=ObjectiveOptions(feature_matching=1.0, match_cut=-5))
    with pytest.raises(StitchError, match=r"match_cut is -5; small has the cuts -1 to -4"):
        build_objective(network, options)
