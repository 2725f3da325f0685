"""A zoo of tiny digit models through the whole of a reassembly, and what its run can do afterwards."""

import json
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
import torch
import yaml

from stitchable.anchors.load import load_anchor
from stitchable.data.loader import image_loader
from stitchable.data.sources import open_images
from stitchable.demo.family import digit_anchors
from stitchable.errors import StitchError
from stitchable.evaluation.curve import read_curve
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE
from stitchable.reassembly.options import ReassemblyConfig
from stitchable.reassembly.scores.naswot import naswot
from stitchable.runs.config import FitConfig, RunConfig, SweepConfig
from stitchable.runs.extract import extract_run
from stitchable.runs.fit import fit_run, make_space, prepared_anchors
from stitchable.runs.folder import RunFolder
from stitchable.runs.reassemble import describe_coarse, reassemble_run
from stitchable.runs.shortlist import BATCH, BATCHES
from stitchable.runs.sweep import sweep_run
from stitchable.runs.train import train_run
from stitchable.runs.zoo_config import ZooConfig
from stitchable.runs.zoo_similarity import anchor_top1, zoo_similarity
from stitchable.similarity.cka import linear_cka
from stitchable.similarity.regression import linear_r2
from stitchable.space.build import SpaceOptions

OPTIONS = ReassemblyConfig(parts=3, images=60, top=2, probe_images=40)


@pytest.fixture(scope="module")
def zoo(digit_models, digits):
    """Two ViTs of three blocks: six new networks."""
    return ZooConfig(
        anchors=digit_models, reassembly=OPTIONS, data=digits, fit=FitConfig(images=60, batch_size=30)
    )


@pytest.fixture(scope="module")
def made(zoo, tmp_path_factory):
    """A run that was reassembled. Not to be changed."""
    run, told = RunFolder(tmp_path_factory.mktemp("reassembled") / "run"), []
    return run, reassemble_run(run, zoo, on_note=told.append), told


def first_digits(anchor, count, *, seed=0):
    loader = image_loader(open_images("digits:train"), anchor.input_spec, batch_size=count, shuffle_seed=seed)
    return next(iter(loader))


def pooled(anchor, cut, images):
    with torch.no_grad():
        x = anchor.run(anchor.stem(images), 0, cut)
    return x[:, 1:].mean(1)  # without the class token


@pytest.mark.parametrize(("measure", "plain"), [("cka", linear_cka), ("r2", linear_r2)])
def test_similarity_in_one_pass_is_that_of_the_features_themselves(zoo, measure, plain):
    anchors = prepared_anchors(zoo.run)
    config = replace(zoo, reassembly=replace(OPTIONS, measure=measure))
    found = zoo_similarity(anchors, config, ALONE)
    images, _ = first_digits(anchors[0], 60)
    rows = {
        (anchor.name, cut): pooled(anchor.eval(), cut, images)
        for anchor in anchors
        for cut in range(anchor.outline.depth + 1)
    }
    pairs = list(combinations(rows, 2))
    if measure == "r2":
        pairs += [(end, front) for front, end in pairs]
    assert set(found) == set(pairs)
    for front, end in pairs:
        assert found[front, end] == pytest.approx(plain(rows[front], rows[end]), abs=1e-6)


def test_it_leaves_an_ordinary_run_of_the_best_networks(made, zoo):
    run, found, told = made
    config = yaml.safe_load(run.config_file.read_text())
    assert config["space"]["rule"] == "given"
    assert config["sweep"]["images"] is None  # later sweeps see all images
    rows = read_curve(run.curve_fitted)
    assert {row.images for row in rows} == {40}
    assert {row.stitch for row in rows} == {each.stitch for each in (*found.candidates, *found.anchors)}
    assert len(found.candidates) == 6
    assert [each.top1 for each in found.candidates] == sorted(
        (row.top1 for row in rows if row.anchor is None), reverse=True
    )
    network = StitchedNetwork.from_pretrained(run.fitted)
    for each in (*found.candidates, *found.anchors):
        cost = network.cost(each.stitch)
        assert (each.macs, each.params) == (cost.macs, cost.params)
    values = json.loads(run.reassembly.read_text())
    assert values["candidates"] == [each.to_dict() for each in found.candidates]
    assert values["partition"]["cuts"] == {"small": [0, 1, 2, 3], "medium": [0, 1, 2, 3]}
    assert values["options"]["seed"] == 0
    assert values["correlation"]["pairs"] == 6
    assert len([line for line in told if line.startswith("parts of set")]) == 3


def test_a_cut_that_is_less_even_than_asked_for_is_told(zoo):
    outlines = [anchor.outline for anchor in prepared_anchors(zoo.run)]
    assert describe_coarse(outlines, OPTIONS) == []  # three blocks of equal MACs, in three parts
    assert describe_coarse(outlines, replace(OPTIONS, parts=2)) == [  # 1/3 and 2/3 of them, where 1/2 is even
        f"{each.name}: blocks are too coarse for epsilon 0.2; its parts are within 0.33 of an even share"
        for each in outlines
    ]


def test_the_score_is_what_the_anchors_are_worth_less_what_the_joints_lose(made, zoo):
    _, found, _ = made
    anchors = prepared_anchors(zoo.run)
    similarity = zoo_similarity(anchors, zoo, ALONE)
    similarity |= {(end, front): value for (front, end), value in similarity.items()}
    worth = anchor_top1(anchors, zoo)
    assert worth == {each.stitch.split("[")[0]: each.top1 for each in found.anchors}
    network = {anchor.name: anchor.outline for anchor in anchors}
    for each in found.candidates:
        expected = 0.0
        segments = [part.rstrip("]").split("[") for part in each.stitch.split("+")]
        spans = [(name, *map(int, bounds.split(":"))) for name, bounds in segments]
        for name, start, stop in spans:
            macs = [block.macs for block in network[name].blocks]
            expected += worth[name] * sum(macs[start:stop]) / sum(macs)
        for (front, _, leave), (end, enter, _) in pairwise(spans):
            expected -= 100 * (1 - similarity[(front, leave), (end, enter)])
        assert each.score == pytest.approx(expected, abs=1e-6)


def test_the_run_trains_and_extracts_like_any_other(made, digits, quick, tmp_path, same_weights):
    made_run, found, _ = made
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    for path in made_run.path.rglob("*"):
        target = run.path / path.relative_to(made_run.path)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    train_run(run, data=digits, options=quick)
    assert not same_weights(run.network, run.fitted)
    rows = sweep_run(run, data=digits, options=SweepConfig(images=40))
    assert [row.stitch for row in rows] == [row.stitch for row in read_curve(run.curve_fitted)]
    best = found.candidates[0].stitch
    sub = extract_run(run, best, tmp_path / "model")
    images, _ = first_digits(load_anchor(zoo_anchor(run), need_weights=True), 4)
    network = StitchedNetwork.from_pretrained(run.network)
    with torch.no_grad():
        assert torch.equal(sub(images), network(images, best))


def zoo_anchor(run):
    return run.read_config()["anchors"][0]


def test_a_training_free_score_searches_the_joined_parts(made, zoo, tmp_path):
    _, additive, _ = made
    macs = sorted(each.macs for each in additive.candidates)[3]
    config = replace(zoo, reassembly=replace(OPTIONS, score="naswot", macs=macs))
    run = RunFolder(tmp_path / "run")
    found = reassemble_run(run, config)
    assert {each.stitch for each in found.candidates} == {
        each.stitch for each in additive.candidates if each.macs <= macs
    }
    network = StitchedNetwork.from_pretrained(run.fitted)
    loader = image_loader(open_images("digits:train"), network.input_spec, batch_size=BATCH, shuffle_seed=0)
    batches = [images for (images, _), _ in zip(loader, range(BATCHES), strict=False)]
    for each in found.candidates:
        assert each.score == pytest.approx(naswot(network.extract(each.stitch), batches), rel=1e-6)


def test_a_shortlist_holds_the_joints_that_it_needs_and_no_others(zoo, tmp_path):
    config = replace(zoo, reassembly=replace(OPTIONS, top=1, shortlist=1, score="similarity"))
    run = RunFolder(tmp_path / "run")
    (chosen,) = reassemble_run(run, config).candidates
    space = StitchedNetwork.from_pretrained(run.fitted).space
    assert {str(stitch) for stitch in space} == {"small[0:3]", "medium[0:3]", chosen.stitch}
    assert len(space.joints) == len(space.stitch(chosen.stitch).joints)


def test_least_squares_joints_beat_random_ones(digits, tmp_path):
    """The released code begins with random joints; both are measured on 400 digits before any training."""
    anchors = digit_anchors()[:2]
    reached = {}
    for kind in ("least_squares", "kaiming"):
        run = RunFolder(tmp_path / kind)
        config = RunConfig(
            anchors=["a", "b"],
            data=digits,
            fit=FitConfig(initialization=kind, images=400, batch_size=200),
            space=SpaceOptions(kernel=1),
        )
        space, _ = make_space(anchors, config.space, [])
        fit_run(run, config, anchors, space=space)
        rows = sweep_run(run, data=digits, options=SweepConfig(images=400))
        reached[kind] = {row.stitch: row.top1 for row in rows if row.anchor is None}
    gains = [reached["least_squares"][stitch] - value for stitch, value in reached["kaiming"].items()]
    assert min(gains) > 0
    assert sum(gains) / len(gains) > 20


def test_what_is_there_is_not_replaced_unasked(made, zoo, contents):
    run, _, _ = made
    before = contents(run.path)
    with pytest.raises(StitchError, match="already holds a run"):
        reassemble_run(run, zoo)
    with pytest.raises(StitchError, match="No path of the space has at most 7 MACs"):
        reassemble_run(run, replace(zoo, reassembly=replace(OPTIONS, macs=7)), overwrite=True)
    assert contents(run.path) == before


def test_another_fit_forgets_the_reassembly(made, zoo, tmp_path):
    run = RunFolder(tmp_path / "run")
    reassemble_run(run, zoo)
    fit_run(run, RunConfig(anchors=zoo.anchors, data=zoo.data, fit=zoo.fit), overwrite=True)
    assert not run.reassembly.exists()
    assert run.read_config()["space"]["rule"] == "auto"


def test_what_does_not_fit_is_refused(zoo, tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(StitchError, match=r"No images named\. Give --data\.val"):
        reassemble_run(run, replace(zoo, data=replace(zoo.data, val=None)))
    with pytest.raises(StitchError, match="small has 3 blocks and cannot be cut into 4 parts"):
        reassemble_run(run, replace(zoo, reassembly=replace(OPTIONS, parts=4)))
    with pytest.raises(StitchError, match="stands for a space that is saved"):
        fit_run(run, zoo.run)
    assert not run.path.exists()
    for changes, words in (
        ({"top": 0}, "reassembly.top must be at least 1"),
        ({"top": 5, "shortlist": 4}, "A shortlist of 4 has no 5 to show"),
        ({"macs": "many"}, "'many' is not a count"),
        ({"score": "naswit"}, "Nearest: naswot"),
        ({"joint_loss": -1.0}, "reassembly.joint_loss is 0 or more; got -1.0"),
        ({"joint_loss": float("nan")}, "reassembly.joint_loss is 0 or more; got nan"),
        ({"epsilon": float("inf")}, "reassembly.epsilon is 0 or more; got inf"),
        ({"parts": 1}, "reassembly.parts must be at least 2; got 1"),
        ({"images": 3}, "reassembly.images must be at least 4; got 3"),
        ({"rows": "flattened"}, "cka cannot be had from flattened rows. Allowed: cka_minibatch"),
    ):
        with pytest.raises(StitchError, match=words):
            replace(OPTIONS, **changes)
    assert replace(OPTIONS, params="12M", macs=2_000).most_params == 12_000_000
