"""What goes together with blocks in pieces; the training itself is in test_exchange.py."""

from dataclasses import replace

import pytest
import torch

from stitchable.anchors.split import Part
from stitchable.errors import SharedError, StitchError
from stitchable.ranks import ALONE, LostError, Ranks
from stitchable.runs.images import check_shares
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.guard_options import GuardOptions
from stitchable.training.loop import train
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.uniform import UniformSampler
from stitchable.training.sharding import called_blocks, check_sharding, clip_pieces, leaving_at_once

SHARD = TrainOptions(shard=True)


def test_what_does_not_go_with_pieces_is_refused(stitched_vits, labelled):
    network, ranks = stitched_vits(), Ranks(0, 2)
    check_sharding(network, SHARD, ranks, alike=True)
    for options, reason in (
        (replace(SHARD, compile=True), "leave train.compile false"),
        (replace(SHARD, channels_last=True), "leave train.channels_last false"),
        (replace(SHARD, autocast="float16"), "give train.autocast bfloat16"),
        (replace(SHARD, tune="norms"), "give another train.tune"),
        (replace(SHARD, guard=GuardOptions(every=1, limit=1.0, stop=True)), "leave train.guard.stop false"),
        (
            replace(SHARD, checkpoint=CheckpointOptions(probe_images=9)),
            "set train.checkpoint.probe_images to 0",
        ),
    ):
        with pytest.raises(StitchError, match=reason):
            check_sharding(network, options, ranks, alike=True)
    with pytest.raises(StitchError, match=r"leave train\.sampler\.per_rank false"):
        check_sharding(network, SHARD, ranks, alike=False)
    with pytest.raises(StitchError, match="it needs several processes; start with torchrun"):
        train(
            network,
            lambda epoch: labelled(1, 4),
            sampler=UniformSampler(network.space),
            steps_per_epoch=1,
            options=SHARD,
        )
    check_shares(12, replace(SHARD, accumulate=4), Ranks(0, 3))
    with pytest.raises(StitchError, match=r"too few for 5 in each of 3\. Lower train\.accumulate"):
        check_shares(12, replace(SHARD, accumulate=5), Ranks(0, 3))


def test_blocks_that_are_called_are_found(tiny_vit, tiny_resnet):
    vit, resnet = tiny_vit("vit", 4), tiny_resnet("resnet", (1, 1, 1, 1), 4)
    assert called_blocks(vit) == list(vit.model.blocks)
    assert called_blocks(resnet) == [
        layer[0] for layer in list(resnet.model.children()) if hasattr(layer, "0")
    ]
    assert not any(module._forward_pre_hooks for module in vit.modules())
    # What is run by its parts is not called, and FSDP would not put it together.
    inner = vit.model.blocks[1]
    by_parts = Part(lambda model, x: inner.mlp(inner.attn(x)), uses=("blocks.1",))
    vit.split = replace(vit.split, blocks=(vit.split.blocks[0], by_parts, vit.split.blocks[2]))
    assert called_blocks(vit) == [vit.model.blocks[0], vit.model.blocks[2]]


def test_whole_gradients_are_clipped_as_torch_clips_them():
    generator = torch.Generator().manual_seed(0)
    for limit in (0.1, 100.0):
        ours = [torch.nn.Parameter(torch.zeros(size)) for size in (3, 5)]
        for each in ours:
            each.grad = torch.randn(each.shape, generator=generator)
        theirs = [torch.nn.Parameter(each.detach().clone()) for each in ours]
        for each, own in zip(theirs, ours, strict=True):
            each.grad = own.grad.clone()
        clip_pieces(ours, limit, ALONE)
        torch.nn.utils.clip_grad_norm_(theirs, limit)
        for each, own in zip(theirs, ours, strict=True):
            torch.testing.assert_close(own.grad, each.grad)
    clip_pieces([torch.nn.Parameter(torch.zeros(2))], 1.0, ALONE)


def test_a_mistake_among_pieces_is_told_by_who_makes_it():
    for error, kind in ((StitchError("nan"), SharedError), (RuntimeError("closed\nby peer"), LostError)):
        with pytest.raises(kind, match=r"nan|\(closed\)"), leaving_at_once():
            raise error
    with pytest.raises(SharedError) as left, leaving_at_once():
        raise SharedError("known", told=True)
    assert left.value.told
