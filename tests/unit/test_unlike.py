"""Anchors of different architectures in one network: maps and tokens, other grids, a class token or none."""

import numpy as np
import pytest
import torch

from stitchable.anchors.copies import on_meta
from stitchable.cost.macs import count_macs
from stitchable.initialization.fit import fit_least_squares
from stitchable.network import StitchedNetwork
from stitchable.space.build import SpaceOptions


@pytest.fixture(scope="module", params=["equal grids", "resampled"])
def network(request, tiny_resnet, tiny_vit):
    """Maps of 8×8, 4×4, 2×2, 1×1; a grid of 4×4 tokens or one of 3×3, and a class token."""
    patch = 8 if request.param == "equal grids" else 10
    cnn = tiny_resnet("cnn", (2, 3, 2, 1), 4, seed=4)
    vit = tiny_vit("vit", 6, depth=4, side=32, patch_size=patch)
    plain = tiny_vit("plain", 8, depth=4, side=32, patch_size=patch, class_token=False, global_pool="avg")
    return StitchedNetwork([cnn, vit, plain], SpaceOptions(pairs="all", direction="both", joints=2)).eval()


def chosen(network):
    """Every anchor, every joint once, and some stitches with two joints."""
    counts = network.space.counts
    return [network.space[index] for index in range(counts[0] + counts[1])] + network.space.sample(20, seed=1)


def test_all_kinds_are_joined_both_ways(network):
    space = network.space
    assert {(joint.front, joint.end) for joint in space.joints} == {
        (a, b) for a in space.outlines for b in space.outlines if a != b
    }
    for joint in space.joints:  # a block that down-samples is never entered
        stages = space.outlines[joint.end].stages
        assert joint.enter == 0 or stages[joint.enter - 1] == stages[joint.enter]
        assert joint.enter or {joint.front, joint.end} == {"vit", "plain"}


def test_every_stitch_runs_and_is_extracted(network, noise):
    images = noise(3, side=32)
    for stitch in chosen(network):
        sub = network.extract(stitch)
        with torch.no_grad():
            logits = network(images, stitch)
            assert torch.equal(sub(images), logits)
        assert logits.shape == (3, 5)
        cost = network.cost(stitch)
        assert count_macs(on_meta(sub), torch.empty(1, 1, 32, 32, device="meta"))[0] == cost.macs
        assert sum(parameter.numel() for parameter in sub.parameters()) == cost.params


def test_missing_class_tokens_start_as_the_stem_gives_them(network):
    model = network.anchors["vit"].model
    for name, joints in network.space.layers.items():
        layer = network.layers[name]
        assert (layer.prefix is not None) == (joints[0].end == "vit" and joints[0].front != "vit")
        if layer.prefix is not None:
            assert torch.equal(layer.prefix, (model.cls_token + model.pos_embed[:, :1])[0])


def test_a_saved_network_is_the_same(network, noise, tmp_path):
    network.save_pretrained(tmp_path)
    back = StitchedNetwork.from_pretrained(tmp_path)
    images = noise(2, side=32)
    with torch.no_grad():
        for stitch in chosen(network):
            assert torch.equal(back(images, stitch), network(images, stitch))


def features_by_hook(anchor, images):
    """Grid (images, rows, columns, width) and class tokens at every cut, from timm's own forward pass."""
    model, found = anchor.model, {}
    tokens = hasattr(model, "blocks")
    stages = [] if tokens else (model.layer1, model.layer2, model.layer3, model.layer4)
    blocks = list(model.blocks) if tokens else [block for stage in stages for block in stage]

    def keep(cut, x):
        if tokens:
            prefix = int(model.cls_token is not None)
            side = round((x.shape[1] - prefix) ** 0.5)
            found[cut] = x[:, prefix:].reshape(len(x), side, side, -1), x[:, :prefix]
        else:
            found[cut] = x.permute(0, 2, 3, 1), None

    hooks = []
    for index, block in enumerate(blocks):
        hooks.append(block.register_forward_pre_hook(lambda _, given, index=index: keep(index, given[0])))
        hooks.append(block.register_forward_hook(lambda _, __, out, index=index: keep(index + 1, out)))
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return found


def resized(grid, size):
    if grid.shape[1:3] == size:
        return grid
    maps = grid.permute(0, 3, 1, 2)
    if size[0] < maps.shape[2]:
        maps = torch.nn.functional.interpolate(maps, size, mode="area")
    else:
        maps = torch.nn.functional.interpolate(maps, size, mode="bilinear")
    return maps.permute(0, 2, 3, 1)


def test_least_squares_solves_behind_the_adapters(network, noise):
    network = StitchedNetwork(list(network.anchors.values()), network.space).double().eval()
    images = noise(60, side=32).double()
    fit_least_squares(network, [images[:25], images[25:]])
    features = {name: features_by_hook(anchor, images) for name, anchor in network.anchors.items()}
    for name, joints in network.space.layers.items():
        fronts, ends, missing = [], [], []
        for joint in joints:
            (front, front_class), (end, end_class) = (
                features[joint.front][joint.leave],
                features[joint.end][joint.enter],
            )
            front = resized(front, tuple(end.shape[1:3]))
            for rows, grid in ((fronts, front), (ends, end)):
                rows.append(grid.flatten(0, 2))
            if end_class is not None and end_class.shape[1]:
                assert front_class is None or not front_class.shape[1]
                missing.append(end_class.mean(0))
        x, y = torch.cat(fronts).numpy(), torch.cat(ends).numpy()
        solution = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]
        layer = network.layers[name]
        ours = np.r_[
            layer.projection.weight.detach().reshape(solution.shape[1], -1).numpy().T,
            [layer.projection.bias.detach().numpy()],
        ]
        # Features can be nearly collinear: what counts is that the residual is as small as it can be.
        least = np.linalg.norm(y - np.c_[x, np.ones(len(x))] @ solution)
        assert np.linalg.norm(y - np.c_[x, np.ones(len(x))] @ ours) <= least * (1 + 1e-9)
        if missing:
            torch.testing.assert_close(layer.prefix.detach(), torch.stack(missing).mean(0))
