"""The stitching test, held against numpy's least squares and a pass by hand."""

import numpy as np
import pytest
import torch

from stitchable.network import StitchedNetwork
from stitchable.prediction.fitted_joints import stitching_test
from stitchable.space.alike import every_joint
from stitchable.space.space import StitchingSpace


@pytest.fixture(scope="module")
def anchors(tiny_vit, noise):
    """The larger one gives every class about as often, so that answers differ."""
    small, large = tiny_vit("small", 4, seed=4), tiny_vit("large", 6, seed=6)
    with torch.no_grad():
        large.model.head.bias -= large.eval()(noise(200, seed=9)).mean(0)
    return small.eval(), large


@torch.no_grad()
def by_hand(anchors, joint, fitting, measuring):
    """R², top-1 of the stitch and of the end anchor: tokens by numpy's least squares, no code of ours."""
    front, end = anchors
    source = front.run(front.stem(fitting), 0, joint.leave).reshape(-1, 4).double().numpy()
    target = end.run(end.stem(fitting), 0, joint.enter).reshape(-1, 6).double().numpy()
    rows = np.hstack([source, np.ones((len(source), 1))])
    solution = np.linalg.lstsq(rows, target, rcond=None)[0]
    r2 = 1 - ((rows @ solution - target) ** 2).sum() / ((target - target.mean(0)) ** 2).sum()
    right, alone = [], []
    for images, labels in measuring:
        x = front.run(front.stem(images), 0, joint.leave).double().numpy()
        y = torch.from_numpy(x @ solution[:-1] + solution[-1]).float()
        logits = end.head(end.run(y, joint.enter, end.depth))
        right += (logits.argmax(1) == labels).tolist()
        alone += (end(images).argmax(1) == labels).tolist()
    return r2, 100 * np.mean(right), 100 * np.mean(alone)


@torch.no_grad()
def mostly_right(anchor, batches):
    """Labels that the anchor gives, but for every third image."""
    return [(x, torch.where(torch.arange(len(x)) % 3 > 0, anchor(x).argmax(1), y)) for x, y in batches]


def test_the_test_is_a_fit_and_a_count(anchors, noise, labelled):
    front, end = (anchor.outline for anchor in anchors)
    joints = every_joint(front, end)
    network = StitchedNetwork(anchors, StitchingSpace([front, end], joints)).eval()
    fitting, measuring = noise(80, seed=5), mostly_right(anchors[1], labelled(3, 40))
    before = network.anchors["large"].model.blocks[0].attn.qkv.weight.clone()
    seen = []
    found, top1 = stitching_test(
        network, fitting.split(30), measuring, match_variance=False, on_batch=seen.append
    )
    assert seen == [40, 40, 40]
    assert [each.joint for each in found] == joints
    for each in found:
        r2, stitched, alone = by_hand(anchors, each.joint, fitting, measuring)
        assert each.r2 == pytest.approx(r2, abs=1e-5)
        assert each.top1 == pytest.approx(stitched)
        assert each.drop == pytest.approx(alone - stitched)
        assert top1["large"] == pytest.approx(alone)
        assert each.drop_low <= each.drop <= each.drop_high
        assert each.top1_low < each.top1 < each.top1_high
        assert (each.fit_images, each.images) == (80, 120)
        assert each.macs == network.cost(each.stitch).macs
    assert len({each.top1 for each in found}) > 3  # they do differ
    assert torch.equal(before, network.anchors["large"].model.blocks[0].attn.qkv.weight)
