from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from stitchable.errors import StitchError
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig, split_anchors
from stitchable.runs.zoo_config import ZooConfig
from stitchable.space.build import SpaceOptions
from stitchable.tracking.options import TrackOptions
from stitchable.training.options import TrainOptions


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (FitConfig, {"images": 0}, r"fit\.images 0"),
        (FitConfig, {"batch_size": 0}, r"fit\.batch_size 0"),
        (FitConfig, {"ridge": -1e-9}, r"fit\.ridge -1e-09"),
        (FitConfig, {"ridge": float("nan")}, r"fit\.ridge nan; it must be at least 0"),
        (FitConfig, {"images": "all"}, r"fit\.images all; it must be at least 1 or 'auto'"),
        (FitConfig, {"ridge": "best"}, r"fit\.ridge best; it must be at least 0 or 'auto'"),
        (FitConfig, {"images_limit": 0}, r"fit\.images_limit 0; it must be at least 1\."),
        (
            FitConfig,
            {"correct": "classifier", "initialization": "kaiming"},
            r"fit\.correct is for layers that",
        ),
        (FitConfig, {"initialization": "kaimin"}, r"fit\.initialization 'kaimin'\. Nearest: kaiming"),
        (SweepConfig, {"images": 0}, r"sweep\.images must be at least 1; got 0"),
        (SweepConfig, {"images": -5}, r"sweep\.images must be at least 1; got -5"),
        (SweepConfig, {"batch_size": 0}, r"sweep\.batch_size must be at least 1; got 0"),
        (SweepConfig, {"stitches": 0}, r"sweep\.stitches must be at least 1; got 0"),
        (SpaceOptions, {"pairs": "al"}, r"space\.pairs 'al'\. Nearest: all"),
        (SpaceOptions, {"direction": "slow"}, r"space\.direction 'slow'"),
        (SpaceOptions, {"sharing": "rules"}, r"space\.sharing 'rules'\. Nearest: rule"),
        (SpaceOptions, {"rule": "twoway"}, r"space\.rule 'twoway'\. Nearest: two_way"),
    ],
)
def test_values_out_of_range_are_refused_by_name(kind, wrong, message):
    with pytest.raises(StitchError, match=message):
        kind(**wrong)


@pytest.mark.parametrize(
    ("kind", "fine"),
    [
        (FitConfig, {"images": 1, "batch_size": 1, "ridge": 0.0}),
        (SweepConfig, {"images": 1, "batch_size": 1, "stitches": 1}),
        (SweepConfig, {"images": None, "stitches": None}),
    ],
)
def test_the_ends_of_the_ranges_are_allowed(kind, fine):
    assert {name: getattr(kind(**fine), name) for name in fine} == fine


@pytest.mark.parametrize("kind", [RunConfig, DataConfig, FitConfig, SweepConfig, SpaceOptions])
def test_configurations_do_not_change(kind):
    config = kind()
    for field in fields(config):
        value = getattr(config, field.name)
        with pytest.raises(FrozenInstanceError):
            setattr(config, field.name, value)


def test_a_zoo_has_what_a_run_has_but_for_its_space():
    """Each field once more by hand, since dataclasses that inherit would change the order of both."""
    run, zoo = ({field.name: field for field in fields(kind)} for kind in (RunConfig, ZooConfig))
    shared = [name for name in run if name not in ("space", "prune")]
    assert [name for name in zoo if name != "reassembly"] == shared
    for name in shared:
        assert (zoo[name].type, zoo[name].default) == (run[name].type, run[name].default)
        assert zoo[name].default_factory == run[name].default_factory
    given = ZooConfig(
        anchors=["a", "b"],
        inputs="a",
        data=DataConfig(workers=3),
        fit=FitConfig(images=7),
        train=TrainOptions(epochs=9),
        track=TrackOptions(to=["tensorboard"]),
        sweep=SweepConfig(images=5),
        seed=4,
        device="cpu",
    )
    for name in shared:
        assert getattr(given, name) != getattr(ZooConfig(), name)
        assert getattr(given.run, name) == getattr(given, name)
    assert (given.run.space, given.run.prune) == (SpaceOptions(rule="given"), [])


def test_two_configurations_share_no_list():
    first, second = RunConfig(), RunConfig()
    assert first == second
    assert first.anchors is not second.anchors
    assert first.prune is not second.prune
    assert all(is_dataclass(getattr(first, name)) for name in ("space", "data", "fit", "train", "sweep"))


@pytest.mark.parametrize(
    ("anchors", "texts"),
    [
        ("a,b", ["a", "b"]),
        (" a , b=c@d ,", ["a", "b=c@d"]),
        (["a", " b "], ["a", "b"]),
        (["with,comma", "b"], ["with,comma", "b"]),
        ("", []),
        ([], []),
    ],
)
def test_anchors_are_a_list_or_a_text(anchors, texts):
    assert split_anchors(anchors) == texts
    assert RunConfig(anchors=anchors).anchor_texts == texts
