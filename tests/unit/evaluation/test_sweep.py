import math

import numpy as np
import pytest
import torch

from stitchable.errors import StitchError
from stitchable.evaluation.sweep import Tally, sweep, tally


def naive(network, stitches, batches):
    """One stitch at a time, one image at a time."""
    counted = []
    for stitch in stitches:
        correct, loss, count = 0, 0.0, 0
        for images, labels in batches:
            for image, label in zip(images, labels, strict=True):
                with torch.no_grad():
                    logits = network(image[None], stitch)[0].double().numpy()
                correct += int(np.argmax(logits) == int(label))
                loss += float(np.log(np.exp(logits).sum()) - logits[int(label)])
                count += 1
        counted.append((correct, loss, count))
    return counted


def wilson(correct, images):
    """The interval's own formula, in percent."""
    z, share = 1.959963984540054, correct / images
    centre = share + z * z / (2 * images)
    half = z * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    return tuple(100 * (centre + sign * half) / (1 + z * z / images) for sign in (-1, 1))


def test_tallies_are_those_of_a_plain_loop(network, side, labelled):
    batches, stitches = [*labelled(2, 7, side=side), *labelled(1, 3, side=side, seed=9)], list(network.space)
    got = tally(network, stitches, batches)
    for each, (correct, loss, count) in zip(got, naive(network, stitches, batches), strict=True):
        assert (each.correct, each.images) == (correct, count) == (correct, 17)
        assert each.loss == pytest.approx(loss, rel=1e-5)
    assert len({each.correct for each in got}) > 1


def test_half_precision_is_that_of_autocast(network, side, labelled):
    batches, stitches = labelled(2, 9, side=side), list(network.space)
    expected = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for stitch in stitches:
            logits = torch.cat([network(images, stitch) for images, _ in batches]).double()
            labels = torch.cat([labels for _, labels in batches])
            expected.append(torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item())
    whole = [each.loss for each in tally(network, stitches, batches)]
    half = [each.loss for each in tally(network, stitches, batches, half=True)]
    assert half == pytest.approx(expected, rel=1e-6)
    assert half != pytest.approx(whole, rel=1e-6)


def test_data_are_read_once_and_told_of(stitched_vits, labelled):
    network, reads, told = stitched_vits(), [], []

    def batches():
        for batch in [*labelled(3, 8), *labelled(1, 5)]:
            reads.append(len(batch[0]))
            yield batch

    got = tally(network, list(network.space), batches(), on_batch=told.append)
    assert reads == told == [8, 8, 8, 5]
    assert {each.images for each in got} == {29}


def test_modes_are_restored_and_eval_mode_holds(stitched_vits, stitched_resnets, labelled):
    for network, side in ((stitched_vits(drop_path_rate=0.9, drop_rate=0.9), 8), (stitched_resnets(), 32)):
        batches, stitches = labelled(2, 4, side=side), list(network.space)
        expected = tally(network.eval(), stitches, batches)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        for number, module in enumerate(network.modules()):
            module.training = number % 2 == 0
        modes = [module.training for module in network.modules()]
        assert tally(network, stitches, batches) == expected
        assert [module.training for module in network.modules()] == modes

        def breaking_off(batches=batches):
            yield batches[0]
            raise RuntimeError("the disk is gone")

        with pytest.raises(RuntimeError, match="the disk is gone"):
            tally(network, stitches, breaking_off())
        assert [module.training for module in network.modules()] == modes
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("batches", [[], [(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.int64))]])
def test_no_images_are_refused(stitched_vits, batches):
    network = stitched_vits()
    with pytest.raises(StitchError, match="saw no images"):
        sweep(network, batches)


def test_rows_put_costs_intervals_and_front_beside_the_tallies(network, side, labelled):
    batches = labelled(3, 8, side=side)
    rows = sweep(network, batches)
    stitches = list(network.space)
    assert [row.stitch for row in rows] == [str(stitch) for stitch in stitches]
    assert [row.index for row in rows] == list(range(len(stitches)))
    for row, (correct, loss, count) in zip(rows, naive(network, stitches, batches), strict=True):
        assert row.images == count == 24
        assert row.top1 == pytest.approx(100 * correct / 24)
        assert row.loss == pytest.approx(loss / 24, rel=1e-5)
        assert (row.top1_low, row.top1_high) == pytest.approx(wilson(correct, 24), abs=1e-9)
        module = network.extract(row.stitch)
        assert row.params == sum(parameter.numel() for parameter in module.parameters())
        assert row.macs == network.cost(row.stitch).macs
        beaten = any(
            other.macs <= row.macs
            and other.top1 >= row.top1
            and (other.macs, other.top1) != (row.macs, row.top1)
            for other in rows
        )
        twin = any((other.macs, other.top1) == (row.macs, row.top1) for other in rows[: row.index])
        assert row.on_front == (not beaten and not twin)
        alone = "+" not in row.stitch
        assert row.anchor == (row.stitch.partition("[")[0] if alone else None)
        assert row.original_top1 is row.original_loss is None


def test_chosen_stitches_come_in_the_order_of_their_indices(stitched_vits, labelled):
    network = stitched_vits(anchors=3)
    chosen = [network.space[index] for index in (11, 0, 5)]
    batches = labelled(2, 8)
    rows, whole = sweep(network, batches, stitches=chosen), sweep(network, batches)
    assert [row.index for row in rows] == [0, 5, 11]
    for row in rows:
        assert (row.top1, row.loss) == (whole[row.index].top1, whole[row.index].loss)


def test_no_stitches_are_not_all_of_them(stitched_vits, labelled):
    assert sweep(stitched_vits(), labelled(1, 4), stitches=[]) == []


def test_originals_stand_beside_the_anchors_alone(stitched_vits, labelled):
    network = stitched_vits(anchors=3)
    originals = {"small": Tally(9, 12.0, 10), "medium": Tally(8, 15.0, 10)}
    rows = sweep(network, labelled(2, 5), originals=originals)
    by_anchor = {row.anchor: row for row in rows if row.anchor}
    assert by_anchor.keys() == {"small", "medium", "large"}
    assert by_anchor["small"].original_top1 == pytest.approx(90)
    assert by_anchor["small"].original_loss == pytest.approx(1.2)
    for name, correct in (("small", 9), ("medium", 8)):
        ends = by_anchor[name].original_top1_low, by_anchor[name].original_top1_high
        assert ends == pytest.approx(wilson(correct, 10), abs=1e-9)
    assert by_anchor["large"].original_top1 is None
    for row in rows:
        if row.anchor is None:
            assert row.original_top1 is row.original_top1_low is row.original_top1_high is None
