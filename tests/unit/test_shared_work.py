"""Least squares and sweep by several processes: real ones, over gloo, against a single one."""

import pytest
import torch

from stitchable.evaluation.sweep import sweep
from stitchable.initialization.fit import fit_least_squares
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE
from stitchable.space.build import SpaceOptions

# Images of each batch, so many that three processes get unequal numbers of batches, and one of them none.
FIT, CALIBRATION, HELD_OUT = (9, 9, 9, 9, 9, 9, 4), (5, 5), (7, 7, 7, 7, 3)


def share(items, ranks):
    return [items[number] for number in ranks.share(len(items))]


def solved(folder, batches, ranks):
    """R² and all affine maps of a network, in float64."""
    network = StitchedNetwork.from_pretrained(folder).double()
    fits = fit_least_squares(network, share([x.double() for x in batches], ranks), ridge=1e-3, ranks=ranks)
    return fits, network.layers.state_dict()


def measured(folder, held_out, calibration, ranks):
    """Rows of the curve, and the number of images that each batch was told of."""
    told = []
    rows = sweep(
        StitchedNetwork.from_pretrained(folder).eval(),
        share(held_out, ranks),
        calibration=share(calibration, ranks),
        on_batch=told.append,
        ranks=ranks,
    )
    return rows, told


def work(ranks, folder):
    given = torch.load(folder / "given.pt")
    found = {
        name: (solved(folder / name, each["fit"], ranks), measured(folder / name, *each["sweep"], ranks))
        for name, each in given.items()
    }
    torch.save(found, folder / f"{ranks.count}-{ranks.rank}.pt")


@pytest.fixture
def given(tmp_path, stitched_resnets, tiny_resnet, tiny_vit, noise, labelled):
    """A folder with networks and images: BatchNorm behind joints; maps and tokens, class tokens or none."""
    cnn = tiny_resnet("cnn", (2, 2, 2, 1), 4, seed=4)
    vit = tiny_vit("vit", 6, depth=4, side=32, patch_size=10)
    plain = tiny_vit("plain", 8, depth=4, side=32, patch_size=10, class_token=False, global_pool="avg")
    unlike = StitchedNetwork([cnn, vit, plain], SpaceOptions(pairs="all", direction="both"))
    images = {
        "fit": [noise(size, side=32, seed=seed) + seed for seed, size in enumerate(FIT)],
        "sweep": (
            [labelled(1, size, side=32, seed=seed)[0] for seed, size in enumerate(HELD_OUT)],
            [noise(size, side=32, seed=100 + seed) for seed, size in enumerate(CALIBRATION)],
        ),
    }
    for name, network in (("resnets", stitched_resnets()), ("unlike", unlike)):
        network.save_pretrained(tmp_path / name)
    torch.save({"resnets": images, "unlike": images}, tmp_path / "given.pt")
    return tmp_path


def found(folder, count):
    return [torch.load(folder / f"{count}-{rank}.pt", weights_only=False) for rank in range(count)]


def test_any_number_of_processes_gives_the_same(given, in_processes):
    work(ALONE, given)
    [alone] = found(given, 1)
    for count in (2, 3):
        in_processes(count, work, given)
        for network, ((fits, layers), measured) in alone.items():
            for each in found(given, count):
                (their_fits, their_layers), theirs = each[network]
                assert theirs == measured  # every digit of the curve
                assert [(fit.layer, fit.rows, fit.pairs) for fit in their_fits] == [
                    (fit.layer, fit.rows, fit.pairs) for fit in fits
                ]
                for one, other in zip(their_fits, fits, strict=True):
                    assert one.r2 == pytest.approx(other.r2, rel=1e-10)
                for name, exact in layers.items():
                    assert (their_layers[name] - exact).norm() <= 1e-10 * exact.norm(), name
                assert all(
                    torch.equal(their_layers[name], first)
                    for name, first in found(given, count)[0][network][0][1].items()
                )
    assert any(name.endswith("prefix") for name in alone["unlike"][0][1])
    for rows, told in (alone["resnets"][1], alone["unlike"][1]):
        assert told == list(HELD_OUT)
        assert len({row.loss for row in rows}) == len(rows) > 10
    assert {row.calibration_images for row in alone["resnets"][1][0]} == {None, sum(CALIBRATION)}
