"""In which dtype, layout and mode a network is trained, and how it is left."""

import copy

import pytest
import torch
import torch.nn.functional as F

from stitchable.training.loop import train
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.schedule import ScheduleSampler
from stitchable.training.samplers.uniform import UniformSampler


def always(network, stitch):
    return ScheduleSampler(network.space, [[stitch]])


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_weights(stitched_vits, labelled):
    losses, dtypes = {}, set()
    for autocast in ("none", "bfloat16"):
        network, records = stitched_vits(), []
        if autocast == "bfloat16":
            block = network.anchors["small"].model.blocks[0].mlp.fc1
            block.register_forward_hook(lambda *hooked: dtypes.add(hooked[2].dtype))
        train(
            network,
            lambda epoch: labelled(3, 16),
            sampler=always(network, "small[0:1]+medium[1:3]"),
            steps_per_epoch=3,
            options=TrainOptions(epochs=1, lr=1e-3, autocast=autocast),
            on_step=records.append,
        )
        assert {value.dtype for value in network.parameters()} == {torch.float32}
        losses[autocast] = [record.loss for record in records]
    assert dtypes == {torch.bfloat16}
    assert losses["bfloat16"] != losses["none"]
    # bfloat16 keeps eight bits: 2⁻⁸ per rounding, over a dozen of them in a row.
    assert losses["bfloat16"] == pytest.approx(losses["none"], rel=0.05)


def test_channels_last_changes_the_layout_and_not_the_numbers(stitched_resnets, labelled):
    losses, seen = {}, []
    for channels_last in (True, False):
        network, records = stitched_resnets().double(), []
        if channels_last:
            network.anchors["deep"].model.layer2[1].register_forward_hook(
                lambda part, given, out: seen.append(out.is_contiguous(memory_format=torch.channels_last))
            )
        train(
            network,
            lambda epoch: [(images.double(), labels) for images, labels in labelled(3, 8, side=32)],
            sampler=always(network, "shallow[0:1]+deep[1:13]"),
            steps_per_epoch=3,
            options=TrainOptions(epochs=1, lr=1e-3, channels_last=channels_last),
            on_step=records.append,
        )
        assert all(parameter.is_contiguous() for parameter in network.parameters())
        losses[channels_last] = [record.loss for record in records]
    assert seen
    assert all(seen)
    assert losses[True] == pytest.approx(losses[False], rel=1e-9)


def statistics(network):
    return {key: value.clone() for key, value in network.state_dict().items() if "running" in key}


@pytest.mark.parametrize("batch_norm", ["frozen", "running"])
def test_batch_norm_statistics_freeze_or_run(stitched_resnets, labelled, batch_norm):
    network = stitched_resnets()
    ((images, labels),) = batch = labelled(1, 8, side=32)
    stitch = "shallow[0:1]+deep[1:13]"
    assert stitch in map(str, network.space)
    before = copy.deepcopy(network.state_dict())
    reference = network.extract(stitch).train(batch_norm == "running")
    with torch.no_grad():
        loss = F.cross_entropy(reference(images), labels, label_smoothing=0.1).item()
    records = []
    train(
        network,
        lambda epoch: batch,
        sampler=always(network, stitch),
        steps_per_epoch=1,
        options=TrainOptions(epochs=1, batch_norm=batch_norm, warmup=0.0),
        on_step=records.append,
    )
    # There is no dropout here, so the two modes differ by the batch statistics alone.
    assert records[0].loss == pytest.approx(loss, rel=1e-5)
    counted = {key for key in before if key.endswith("num_batches_tracked")}
    for key in [*statistics(network), *counted]:
        unmoved = torch.equal(network.state_dict()[key], before[key])
        on_path = key in reference.state_dict()
        assert unmoved == (batch_norm == "frozen" or not on_path), key
        if on_path and batch_norm == "running":
            torch.testing.assert_close(network.state_dict()[key], reference.state_dict()[key])


def test_frozen_statistics_still_let_batch_norm_learn(stitched_resnets, labelled):
    network = stitched_resnets()
    before = copy.deepcopy(network.state_dict())
    train(
        network,
        lambda epoch: labelled(2, 8, side=32),
        sampler=always(network, "deep[0:13]"),
        steps_per_epoch=2,
        options=TrainOptions(epochs=1, lr=1e-2, warmup=0.0),
    )
    assert not torch.equal(
        network.state_dict()["anchors.deep.model.bn1.weight"], before["anchors.deep.model.bn1.weight"]
    )


def test_everything_else_is_in_training_mode(stitched_vits, stitched_resnets, labelled):
    for network, side in ((stitched_vits(drop_path_rate=0.2), 8), (stitched_resnets(), 32)):
        modes = []

        def batches(epoch, network=network, side=side, modes=modes):
            modes.append(
                {
                    name: module.training
                    for name, module in network.named_modules()
                    if not isinstance(module, torch.nn.BatchNorm2d)
                }
            )
            return labelled(1, 4, side=side)

        train(
            network,
            batches,
            sampler=UniformSampler(network.space),
            steps_per_epoch=1,
            options=TrainOptions(epochs=2),
        )
        assert len(modes) == 2
        assert all(all(mode.values()) for mode in modes)
        assert not any(module.training for module in network.modules())


def test_the_network_is_in_eval_mode_after_any_end(stitched_vits, labelled):
    network = stitched_vits()

    def breaking_off(epoch):
        yield from labelled(2, 4)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        train(network, breaking_off, sampler=UniformSampler(network.space), steps_per_epoch=4)
    assert not any(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
