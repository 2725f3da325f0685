"""Classifiers of the joints' own, against least squares on features that hooks read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.classifier import linear_classifier
from stitchable.anchors.load import anchor_from_timm
from stitchable.anchors.split import Part
from stitchable.errors import StitchError
from stitchable.evaluation.extract import extract_calibrated
from stitchable.evaluation.trie import Trie
from stitchable.input_spec import InputSpec
from stitchable.network import StitchedNetwork
from stitchable.runs.correction import RIDGES, correct_classifiers
from stitchable.space.build import SpaceOptions
from stitchable.space.prune import ListedSpace


@pytest.fixture(params=["stitched_vits", "stitched_resnets"])
def network(request):
    options = SpaceOptions(direction="both", joints=2) if request.param == "stitched_vits" else None
    return request.getfixturevalue(request.param)(options)  # the ResNets have BatchNorm


@pytest.fixture
def batches(network, noise):
    """Held-out images, and others in two batches."""
    side = network.input_spec.size[1]
    return [noise(size, side=side, seed=size) for size in (20, 25, 15)]


@pytest.fixture
def calibration(network, noise):
    side = network.input_spec.size[1]
    return [noise(8, side=side, seed=1), noise(8, side=side, seed=2)]


def corrected(network, batches, calibration):
    fits = correct_classifiers(
        network, lambda: iter(batches), held_out=1, calibration=lambda stitches: iter(calibration)
    )
    return {fit.joint: fit for fit in fits}


@torch.no_grad()
def features_and_logits(module, end, images):
    """What comes to an anchor's classifier while a module runs, and what the module gives."""
    found = []
    classifier = end.model.get_submodule(linear_classifier(end))
    hook = classifier.register_forward_pre_hook(lambda _, given: found.append(given[0]))
    logits = module(images)
    hook.remove()
    return found[0].double().numpy(), logits.double().numpy()


def change_by_rows(features, lacking, ridge):
    centred, width = features - features.mean(0), features.shape[1]
    extra = np.sqrt(ridge * np.square(centred).sum() / width) * np.eye(width)
    target = np.r_[lacking - lacking.mean(0), np.zeros((width, lacking.shape[1]))]
    weight = np.linalg.lstsq(np.r_[centred, extra], target, rcond=None)[0]
    return weight, lacking.mean(0) - features.mean(0) @ weight


def test_it_is_ridge_regression_of_what_the_logits_lack(network, batches, calibration):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    joints = [network.space.joints[number] for number in (0, -1)]
    rows = {}
    for joint in joints:
        sub = extract_calibrated(network, network.space.through([joint]), iter(calibration))
        parts = []
        for batch in batches:
            features, logits = features_and_logits(sub, sub.anchors[joint.end], batch)
            with torch.no_grad():
                parts.append((features, network.anchors[joint.end](batch).double().numpy() - logits))
        rows[joint] = parts
    fits = corrected(network, batches, calibration)
    assert list(fits) == [str(joint) for joint in network.space.joints]
    for joint, ((aside, lacks_aside), *fitted) in rows.items():
        x, lacking = (np.concatenate(side) for side in zip(*fitted, strict=True))
        tried = []
        for ridge in RIDGES:
            weight, bias = change_by_rows(x, lacking, ridge)
            tried.append(np.square(lacks_aside - aside @ weight - bias).sum())
        fit = fits[str(joint)]
        assert fit.ridge == RIDGES[int(np.argmin(tried))]
        spread = np.square(lacks_aside - lacks_aside.mean(0)).sum()
        assert fit.held_out_r2 == pytest.approx(1 - min(tried) / spread, abs=1e-5)
        assert fit.images == 60
        weight, bias = change_by_rows(np.r_[aside, x], np.r_[lacks_aside, lacking], fit.ridge)
        name = linear_classifier(network.anchors[joint.end])
        for part, change in (("weight", weight.T), ("bias", bias)):
            own = network.behind[str(joint)].own()[f"{name}.{part}"].detach().numpy()
            anchors = network.anchors[joint.end].model.get_parameter(f"{name}.{part}").detach().numpy()
            np.testing.assert_allclose(own - anchors, change, rtol=1e-3, atol=1e-4)
            assert np.abs(change).max() > 1e-3
    for key, value in before.items():  # anchors and stitching layers
        assert torch.equal(network.state_dict()[key], value), key


@torch.no_grad()
def test_corrected_stitches_are_nearer_to_their_end_anchor_and_are_extracted(
    network, batches, calibration, tmp_path
):
    stitches = [network.space.through([joint]) for joint in network.space.joints[::5]]
    stitches += [stitch for stitch in network.space if len(stitch.segments) == 3][:2]
    images = torch.cat(batches)
    before = dict(Trie(network, stitches, calibration=calibration).run(images))
    corrected(network, batches, calibration)
    assert network.owned == "classifier"
    network.save_pretrained(tmp_path)
    back = StitchedNetwork.from_pretrained(tmp_path)
    trie = Trie(back, stitches, calibration=calibration)
    for position, logits in trie.run(images):
        stitch = stitches[position]
        wanted = network.anchors[stitch.anchors[-1]](images)
        if len(stitch.segments) == 2:
            assert (logits - wanted).square().sum() < (before[position] - wanted).square().sum()
        assert torch.equal(trie.extract(position)(images), logits)
        assert network.cost(stitch) == back.cost(stitch)
        own = network.behind[str(network.space.path(stitch)[-1])].own()
        sub = back.extract(stitch)
        if not sub.behind:
            for name, value in own.items():
                assert torch.equal(sub.anchors[stitch.anchors[-1]].model.get_parameter(name), value)
    alone = network.space.outlines[network.space.joints[0].end].stitch
    end = network.anchors[alone.anchors[0]]
    assert torch.equal(back(images, alone), end(images))


@torch.no_grad()
def test_a_joint_that_changes_nothing_keeps_the_classifier(tiny_vit, noise):
    network = StitchedNetwork([tiny_vit(name, 8, seed=3) for name in ("one", "two")]).eval()
    for layer in network.layers.values():
        layer.set_affine(torch.eye(8), torch.zeros(8))
    corrected(network, [noise(9, seed=seed) for seed in range(3)], ())
    same = [str(joint) for joint in network.space.joints if joint.leave == joint.enter]
    assert same
    for joint in same:
        for name, value in network.behind[joint].own().items():
            torch.testing.assert_close(
                value, network.anchors["two"].model.get_parameter(name), rtol=1e-4, atol=1e-5
            )


def test_the_number_of_joints_at_once_changes_no_bit(stitched_vits, noise, monkeypatch):
    network, batches, calibration = stitched_vits(), [noise(9, seed=seed) for seed in range(3)], ()
    other = StitchedNetwork(list(network.anchors.values()), network.space).eval()
    other.load_state_dict(network.state_dict())
    corrected(network, batches, calibration)
    monkeypatch.setattr("stitchable.runs.correction.JOINTS_AT_ONCE", 3)
    corrected(other, batches, calibration)
    for key, value in network.behind.state_dict().items():
        assert torch.equal(other.behind.state_dict()[key], value)


def test_only_joints_with_a_stitch_of_their_own_are_corrected(stitched_vits, noise):
    network = stitched_vits()
    alone = [str(network.space.through([joint])) for joint in network.space.joints]
    listed = StitchedNetwork(
        list(network.anchors.values()), ListedSpace(network.space, ["small", "medium", alone[1]])
    ).eval()
    batches = [noise(9, seed=seed) for seed in range(3)]
    assert list(corrected(listed, batches, ())) == [str(network.space.joints[1])]
    none = StitchedNetwork(list(network.anchors.values()), ListedSpace(network.space, ["small", "medium"]))
    with pytest.raises(StitchError, match="No joint has a stitch of its own to correct"):
        corrected(none, batches, ())


def test_which_layer_is_the_classifier(tiny_vit, tiny_resnet):
    assert linear_classifier(tiny_vit("vit", 8)) == "head"
    assert linear_classifier(tiny_resnet("cnn", (1, 1, 1, 1), 4)) == "fc"
    shape = {"img_size": 32, "embed_dim": 12, "depth": 1, "num_heads": 2, "num_classes": 5}
    spec = InputSpec((3, 32, 32), (0.5,) * 3, (0.5,) * 3)
    two = anchor_from_timm("deit_tiny_distilled_patch16_224", name="two", arguments=shape, input_spec=spec)
    assert linear_classifier(two) is None


def test_heads_that_do_not_end_there_are_refused(stitched_vits, noise):
    network, anchors = stitched_vits(), []
    for anchor in network.anchors.values():
        head = Part(lambda model, x, run=anchor.split.head.run: 2 * run(model, x), anchor.split.head.uses)
        split = replace(anchor.split, head=head)
        anchors.append(Anchor(anchor.model, split, name=anchor.name, input_spec=anchor.input_spec))
    doubled = StitchedNetwork(anchors).eval()
    with pytest.raises(StitchError, match="medium does more to its logits than its linear layer head"):
        corrected(doubled, [noise(9), noise(9, seed=1)], ())
    for own in doubled.behind.values():  # the identity is gone
        assert own.own()["head.weight"].shape == (5, 6)
