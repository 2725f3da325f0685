"""Least squares and the sweep by several processes: real ones, over gloo, against a single one."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributed.run import parse_args

from stitchable.errors import StitchError
from stitchable.evaluation.sweep import tally
from stitchable.initialization.fit import fit_least_squares
from stitchable.initialization.held_out import fit_held_out
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
from stitchable.runs.correction import correct_classifiers
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.similarity_maps import similarity_maps
from stitchable.runs.similarity_options import SimilarityOptions
from stitchable.runs.sweep import sweep_run
from stitchable.space.build import SpaceOptions

# Images of each batch, so many that three processes get unequal numbers of batches, and one of them none.
FIT, CALIBRATION, HELD_OUT = (9, 9, 9, 9, 9, 9, 4), (5, 5), (7, 7, 7, 7, 3)


def share(items, ranks):
    return [items[number] for number in ranks.share(len(items))]


def fit_and_measure(ranks, folder):
    """For each network R² and affine maps, in float64; its tallies; and the images that were told of."""
    images, found = torch.load(folder / "images.pt"), {}
    for name in ("resnets", "unlike"):
        exact, told = StitchedNetwork.from_pretrained(folder / name).double(), []
        batches = share([batch.double() for batch in images["fit"]], ranks)
        fits = fit_least_squares(exact, batches, ridge=1e-3, ranks=ranks)
        chosen = StitchedNetwork.from_pretrained(folder / name).double()
        held_out = share([batch.double() for batch in images["held_out_of_fit"]], ranks)
        whole = [batch.double() for batch in images["fit"]]
        parts = [share(whole[:3], ranks), share(whole[3:], ranks)]
        made = fit_held_out(chosen, held_out, parts, tolerance=-1, ranks=ranks)
        network = StitchedNetwork.from_pretrained(folder / name)
        tallies = tally(
            network,
            list(network.space),
            share(images["held_out"], ranks),
            calibration=share(images["calibration"], ranks),
            on_batch=told.append,
            ranks=ranks,
        )
        layers = exact.layers.state_dict() | {
            f"chosen.{key}": value for key, value in chosen.layers.state_dict().items()
        }
        maps = similarity_maps(exact.anchors, batches, SimilarityOptions(groups=3), ranks=ranks)
        found[name] = {"fits": fits, "layers": layers, "tallies": tallies, "told": told}
        found[name]["made"] = made
        found[name]["maps"] = maps
        found[name]["corrected"] = name == "resnets" and correct_classifiers(  # its features have BatchNorm
            network,
            lambda: images["fit"],
            held_out=2,
            calibration=lambda stitches: images["calibration"],
            ranks=ranks,
        )
        found[name]["behind"] = network.behind.state_dict()
    torch.save(found, folder / f"{ranks.count}-{ranks.rank}.pt")


def assert_same_maps(ours, theirs):
    """The same images in the same groups, so values and intervals but for the order of sums."""
    assert ours[1] == theirs[1] == sum(FIT)
    for one, other in zip(ours[0], theirs[0], strict=True):
        assert (one.front, one.end, one.measure) == (other.front, other.end, other.measure)
        for a, b in zip(sum(one.cells, ()), sum(other.cells, ()), strict=True):
            assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=1e-8)


@pytest.fixture
def given(tmp_path, stitched_resnets, tiny_resnet, tiny_vit, noise, labelled):
    """A folder with networks and images: BatchNorm behind joints; maps and tokens, class tokens or none."""
    cnn = tiny_resnet("cnn", (2, 2, 2, 1), 4, seed=4)
    vit = tiny_vit("vit", 6, depth=4, side=32, patch_size=10)
    plain = tiny_vit("plain", 8, depth=4, side=32, patch_size=10, class_token=False, global_pool="avg")
    unlike = StitchedNetwork([cnn, vit, plain], SpaceOptions(pairs="all", direction="both"))
    for name, network in (("resnets", stitched_resnets()), ("unlike", unlike)):
        network.save_pretrained(tmp_path / name)
    images = {
        "fit": [noise(size, side=32, seed=seed) + seed for seed, size in enumerate(FIT)],
        "held_out_of_fit": [noise(9, side=32, seed=200 + seed) for seed in range(3)],
        "calibration": [noise(size, side=32, seed=100 + seed) for seed, size in enumerate(CALIBRATION)],
        "held_out": [labelled(1, size, side=32, seed=seed)[0] for seed, size in enumerate(HELD_OUT)],
    }
    torch.save(images, tmp_path / "images.pt")
    return tmp_path


def found(folder, count):
    return [torch.load(folder / f"{count}-{rank}.pt", weights_only=False) for rank in range(count)]


def test_any_number_of_processes_gives_the_same(given, in_processes):
    fit_and_measure(ALONE, given)
    [alone] = found(given, 1)
    for count in (2, 3):
        in_processes(count, fit_and_measure, given)
        ours = found(given, count)
        for name, expected in alone.items():
            for each in (one[name] for one in ours):
                assert each["tallies"] == expected["tallies"]  # to the last digit
                assert each["told"] == expected["told"] == list(HELD_OUT)
                for fit, exact in zip(each["fits"], expected["fits"], strict=True):
                    assert replace(fit, r2=0) == replace(exact, r2=0)
                    assert fit.r2 == pytest.approx(exact.r2, rel=1e-10)
                assert_same_maps(each["maps"], expected["maps"])
                made, chosen = each["made"].layers, expected["made"].layers
                assert [(fit.ridge, fit.images) for fit in made] == [
                    (fit.ridge, fit.images) for fit in chosen
                ]
                for ours_grown, grown in zip(each["made"].grown, expected["made"].grown, strict=True):
                    assert ours_grown == pytest.approx(grown, rel=1e-9)
                assert each["corrected"] == expected["corrected"]  # to the last digit
                for key, exact in expected["behind"].items():
                    assert torch.equal(each["behind"][key], exact), key
                for key, exact in expected["layers"].items():
                    assert (each["layers"][key] - exact).norm() <= 1e-10 * exact.norm(), key
                    assert torch.equal(each["layers"][key], ours[0][name]["layers"][key])
    assert any(key.endswith("prefix") for key in alone["unlike"]["layers"])
    assert len(alone["resnets"]["corrected"]) > 5
    tallies = alone["resnets"]["tallies"]
    assert {each.calibration_images for each in tallies} == {None, sum(CALIBRATION)}
    assert len({each.loss for each in tallies}) == len(tallies) > 10


DIGITS = DataConfig(train="digits:train", val="digits:val")
FEW = SweepConfig(images=70, batch_size=20)


def fit_and_sweep(ranks, folder, models, corrupt):
    """Two steps of a run, the second of which fails in the second process at first."""
    run = RunFolder(folder / f"run{ranks.count}")
    # 95 images in batches of 20: the last one is cut.
    config = RunConfig(anchors=models, data=DIGITS, fit=FitConfig(images=95, batch_size=20), device="cpu")
    made, told = fit_run(run, config), []
    try:
        broken = DataConfig(val=str(corrupt), corrupt_limit=0)  # the bad image is in the fourth batch
        sweep_run(run, data=broken, options=SweepConfig(batch_size=3), device="cpu")
    except StitchError as error:
        told.append(str(error))
    # Answers so far are the first process's to write, when it hears of the failure.
    told.append(sorted(path.name for path in run.path.iterdir() if path != run.sweeping))
    rows = sweep_run(run, data=DIGITS, options=FEW, device="cpu", on_batch=told.append)
    seen = [layer.rows // layer.pairs for layer in made.layers]
    text = json.dumps({"told": told, "rows": [row.to_dict() for row in rows], "seen": seen})
    (folder / f"{ranks.count}-{ranks.rank}.json").write_text(text)


def test_a_run_is_the_same_and_one_process_writes_it(tmp_path, digit_models, corrupt, in_processes, contents):
    fit_and_sweep(ALONE, tmp_path, digit_models, corrupt)
    in_processes(2, fit_and_sweep, tmp_path, digit_models, corrupt)
    alone, first, second = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("1-0", "2-0", "2-1")
    )
    assert "bee/3.png does not read" in alone["told"][0]
    assert [each["told"][0] for each in (first, second)] == [f"{alone['told'][0]} (process 1 of 2)"] * 2
    for each in (first, second):
        assert (each["rows"], each["seen"]) == (alone["rows"], alone["seen"])
        assert each["told"][1] == alone["told"][1] == ["config.yaml", "fit.json", "fitted"]
    assert first["told"][2:] == alone["told"][2:] == [20, 20, 20, 10]
    assert second["told"][2:] == []
    one, two = RunFolder(tmp_path / "run1"), RunFolder(tmp_path / "run2")
    assert contents(one.path).keys() == contents(two.path).keys()
    assert one.config_file.read_bytes() == two.config_file.read_bytes()
    ours, theirs = (StitchedNetwork.from_pretrained(run.fitted).state_dict() for run in (one, two))
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=1e-6, atol=1e-7)  # maps are rounded to float32
    assert set(alone["seen"]) == {95 * 5}


def test_the_command_under_torchrun(measured):
    run = RunFolder(measured)
    sweep_run(run, data=DIGITS, options=FEW, device="cpu")
    alone = run.curve_fitted.read_bytes()
    run.curve_fitted.unlink()
    torchrun = ["torch.distributed.run", "--standalone", "--local-addr=localhost", "--nproc-per-node=2"]
    words = ["sweep", str(measured), "--sweep.images=70", "--sweep.batch_size=20", "--device=cpu"]
    command = [sys.executable, "-m", *torchrun, "-m", "--", "stitchable", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report ") == 1  # one process speaks
    assert run.report.is_file()
    assert run.curve_fitted.read_bytes() == alone


def test_what_the_documentation_says_of_torchrun_is_what_torchrun_reads():
    root = Path(__file__).parents[2]
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    lines = [line for page in pages for line in re.findall(r"^torchrun .*", page.read_text(), re.M)]
    assert any("--run " in line for line in lines)
    for line in lines:
        read = parse_args(shlex.split(line)[1:])
        assert read.module
        assert [read.training_script, *read.training_script_args] == shlex.split(line.split(" -- ")[1])
