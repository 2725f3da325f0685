"""Sweeps that are cut off, that race, and that measure a part."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stitchable.data.loader import image_loader
from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve, write_curve
from stitchable.evaluation.outcomes import NOT_SEEN, read_outcomes
from stitchable.evaluation.sweep import tally
from stitchable.evaluation.trie import Trie
from stitchable.network import StitchedNetwork
from stitchable.profiling.footprint import footprint
from stitchable.runs.config import SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.runs.images import open_for
from stitchable.runs.memory import fitting_batch_size
from stitchable.runs.sweep import sweep_run
from stitchable.runs.sweeping import Sweeping
from stitchable.runs.train import train_run

FEW = SweepConfig(images=120, batch_size=20)


class CutOffError(Exception):
    """Stands for a power cut."""


def cut_off_after(batches):
    """Called with each batch; breaks off in the end."""
    left = [batches]

    def on_batch(images):
        left[0] -= 1
        if not left[0]:
            raise CutOffError

    return on_batch


def test_answers_add_up_to_the_rows(fitted, digits):
    run = RunFolder(fitted)
    rows = sweep_run(run, data=digits, options=FEW)
    outcomes = read_outcomes(run.latest_outcomes)
    assert outcomes.stitches == tuple(row.stitch for row in rows)
    assert outcomes.right.shape == (len(rows), 120)
    assert (100 * outcomes.right.mean(axis=1)).tolist() == pytest.approx([row.top1 for row in rows])
    assert ((outcomes.confidence >= 0.1 - 1e-6) & (outcomes.confidence <= 1)).all()
    network = StitchedNetwork.from_pretrained(run.fitted)
    loader = image_loader(open_for(network, digits, "val"), network.input_spec, batch_size=120, limit=120)
    [(images, labels)] = loader
    logits = network.eval()(images, rows[5].stitch).detach()
    assert outcomes.labels.tolist() == labels.tolist()
    assert outcomes.predicted[5].tolist() == logits.argmax(1).tolist()
    assert outcomes.confidence[5] == pytest.approx(logits.softmax(1).amax(1).numpy(), rel=1e-4)


@pytest.mark.parametrize("target", ["all", "front"])
def test_a_sweep_that_was_cut_off_goes_on_to_the_same_curve(fitted, digits, target):
    run, options = RunFolder(fitted), replace(FEW, target=target)
    whole = sweep_run(run, data=digits, options=options)
    expected = read_outcomes(run.outcomes_fitted)
    run.curve_fitted.unlink()
    with pytest.raises(CutOffError):
        sweep_run(run, data=digits, options=options, on_batch=cut_off_after(4))
    assert run.sweeping.is_dir()
    told, noted = [], []
    got = sweep_run(run, data=digits, options=options, on_batch=told.append, on_note=noted.append)
    assert got == whole
    assert np.array_equal(read_outcomes(run.outcomes_fitted).predicted, expected.predicted)
    assert noted == ["going on after 80 of 120 images"]
    assert told == [20] * 6
    assert not run.sweeping.exists()


def test_only_the_same_sweep_goes_on(fitted, digits):
    run, noted = RunFolder(fitted), []
    for changed in (replace(FEW, batch_size=30), replace(FEW, autocast="bfloat16"), replace(FEW, stitches=5)):
        with pytest.raises(CutOffError):
            sweep_run(run, data=digits, options=FEW, on_batch=cut_off_after(2))
        sweep_run(run, data=digits, options=changed, overwrite=True, on_note=noted.append)
        assert not run.sweeping.exists()
    assert noted == []


def test_what_is_damaged_is_measured_again(tmp_path, fitted, digits):
    run, noted = RunFolder(fitted), []
    whole = sweep_run(run, data=digits, options=FEW)
    with pytest.raises(CutOffError):
        sweep_run(run, data=digits, options=FEW, on_batch=cut_off_after(3))
    [answers] = run.sweeping.glob("*.safetensors")
    answers.write_bytes(answers.read_bytes()[:-1])
    assert sweep_run(run, data=digits, options=FEW, on_note=noted.append) == whole
    assert noted == []
    folder = tmp_path / "answers"
    folder.mkdir()
    (folder / "identity.json").write_text("{")
    assert Sweeping(folder, {}).read() == []
    assert not folder.exists()


def test_a_race_stops_stitches_and_says_what_they_saw(fitted, digits, quick):
    run = RunFolder(fitted)
    train_run(run, data=digits, options=replace(quick, epochs=3, batch_size=50, lr=3e-3))
    options = SweepConfig(batch_size=40, target="front", confidence=0.6)
    rows = sweep_run(run, data=digits, options=options, seed=4)
    stopped = [row for row in rows if row.images < 797]
    assert stopped
    assert not any(row.on_front or row.anchor for row in stopped)
    outcomes = read_outcomes(run.outcomes)
    network = StitchedNetwork.from_pretrained(run.network)
    source = open_for(network, digits, "val")
    batches = [*image_loader(source, network.input_spec, batch_size=40, shuffle_seed=4)]
    for row in stopped:
        assert outcomes.seen[outcomes.row(row.stitch)].sum() == row.images
        shown = batches[: row.images // 40]
        [alone] = tally(network, [network.space.stitch(row.stitch)], shown)
        assert (alone.images, 100 * alone.correct / alone.images) == (row.images, row.top1)
    assert NOT_SEEN in outcomes.predicted
    whole = sweep_run(run, data=digits, options=replace(options, target="all"), seed=4)
    fronts = {row.stitch for row in whole if row.on_front}
    assert {row.stitch for row in rows if row.on_front} >= fronts - {row.stitch for row in stopped}


def test_running_together_changes_no_more_than_rounding(fitted, digits):
    run = RunFolder(fitted)
    alone = sweep_run(run, data=digits, options=FEW)
    together = sweep_run(run, data=digits, options=replace(FEW, together=100))
    assert [row.loss for row in together] == pytest.approx([row.loss for row in alone], rel=1e-5)


def test_batches_get_as_small_as_memory_asks_for(fitted, digits):
    run, network, told = RunFolder(fitted), StitchedNetwork.from_pretrained(fitted / "fitted"), []
    trie = Trie(network, list(network.space))

    def peak(images):
        x = torch.zeros(images, *network.input_spec.size)
        return footprint(lambda x: [y for _, y in trie.run(x)][-1], x)[0].peak_bytes

    bound = str(peak(9))
    size = fitting_batch_size(trie, bound, largest=50)
    assert size >= 9  # the logits of all stitches are held here, and are not in a sweep
    assert peak(2 * size) > int(bound)
    assert fitting_batch_size(trie, "1GB", largest=50) == 50
    rows = sweep_run(run, data=digits, options=replace(FEW, memory=bound), on_batch=told.append)
    assert told[0] == size < 20
    assert [row.top1 for row in rows] == [row.top1 for row in sweep_run(run, data=digits, options=FEW)]
    with pytest.raises(StitchError, match=r"more than sweep\.memory 1kB"):
        sweep_run(run, data=digits, options=replace(FEW, memory="1kB"))
    with pytest.raises(StitchError, match="'much' is not a size"):
        replace(FEW, memory="much")


def test_named_stitches_come_with_the_anchors(fitted, digits, tmp_path):
    run = RunFolder(fitted)
    ids = [row.stitch for row in sweep_run(run, data=digits, options=FEW)]
    file = tmp_path / "wanted.txt"
    file.write_text(f"# the weak ones\n{ids[4]}\n\n{ids[3]}\n")
    longer_than_a_name = ",".join([ids[4], ids[3]] * 200)
    for wanted in (f"{ids[4]}, {ids[3]}", [ids[4], ids[3]], str(file), longer_than_a_name):
        rows = sweep_run(run, data=digits, options=replace(FEW, stitches=wanted), overwrite=True)
        assert [row.stitch for row in rows] == [ids[0], ids[1], ids[3], ids[4]]
    binary = tmp_path / "network.safetensors"
    binary.write_bytes(b"\xff\xfe\x00")
    for wanted, message in (
        ("small[0:9]", "not in the space"),
        (" ,", "names no stitch"),
        (str(binary), r"network\.safetensors is no text"),
    ):
        with pytest.raises(StitchError, match=message):
            sweep_run(run, data=digits, options=replace(FEW, stitches=wanted))


def test_the_short_words_of_the_command(fitted, capsys):
    from stitchable.cli.main import main

    run = RunFolder(fitted)
    words = ["--limit", "30", "--target", "front", "--stitches", "medium[0:3]"]
    main(["sweep", str(fitted), *words])
    rows = read_curve(run.curve_fitted)
    assert rows[0].images == 30
    assert [row.stitch for row in rows] == ["small[0:3]", "medium[0:3]"]
    with pytest.raises(SystemExit) as left:
        main(["sweep", str(fitted), "--limit", "0"])
    assert left.value.code == 2
    assert "sweep.images must be at least 1; got 0" in capsys.readouterr().err


def test_a_part_does_not_replace_the_whole_unasked(fitted, digits, contents):
    run = RunFolder(fitted)
    ids = [row.stitch for row in sweep_run(run, data=digits, options=FEW)]
    before, beside = contents(fitted), run.curve_fitted
    for part, measured in (
        (replace(FEW, images=119), f"{len(ids)} on 119"),
        (replace(FEW, stitches=ids[3]), "3 on 120"),
        (replace(FEW, stitches=ids[3], images=300), "3 on 300"),
        (replace(FEW, target="front"), f"{len(ids)} on 120 in a race"),
    ):
        with pytest.raises(StitchError) as error:
            sweep_run(run, data=digits, options=part)
        told = f"{beside} has {len(ids)} stitches on 120 images; this sweep measures {measured}. Pass --overw"
        assert str(error.value).startswith(told)
        assert contents(fitted) == before
    sweep_run(run, data=digits, options=FEW)
    assert len(sweep_run(run, data=digits, options=replace(FEW, stitches=ids[3]), overwrite=True)) == 3
    assert len(sweep_run(run, data=digits, options=FEW)) == len(ids)
    *others, last = read_curve(beside)
    write_curve(beside, [*others, replace(last, images=60)])  # as a race leaves it
    assert len(sweep_run(run, data=digits, options=replace(FEW, target="front"))) == len(ids)
    beside.write_text("broken")
    sweep_run(run, data=digits, options=replace(FEW, images=40))


def test_the_next_sweep_is_of_all_again(fitted, digits):
    run = RunFolder(fitted)
    recipe = run.read_config()["sweep"]
    some = replace(FEW, stitches=4, target="front", together=2)
    sweep_run(run, data=digits, options=some)
    now = run.read_config()["sweep"]
    assert (now["together"], now["batch_size"]) == (2, 20)
    for name in ("images", "stitches", "target"):
        assert now[name] == recipe[name]
