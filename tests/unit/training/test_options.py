from dataclasses import FrozenInstanceError, fields

import pytest

from stitchable.errors import StitchError
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.options import TrainOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"accumulate": 0},
        {"ema": 0.0},
        {"ema": 1.0},
        {"lr": -1e-9},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"layer_lr": -1.0},
        {"layer_lr": float("inf")},
        {"weight_decay": float("inf")},
        {"weight_decay": -0.1},
        {"warmup": -0.01},
        {"warmup": 1.0},
        {"lr_floor": -0.1},
        {"lr_floor": 1.1},
        {"label_smoothing": -0.1},
        {"label_smoothing": 1.0},
        {"clip_norm": 0.0},
        {"clip_norm": -1.0},
    ],
    ids=str,
)
def test_numbers_out_of_range_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(StitchError, match=rf"^train\.{name} must be .*; got {value}\.$"):
        TrainOptions(**wrong)


@pytest.mark.parametrize(
    "fine",
    [
        {"epochs": 1, "batch_size": 1},
        {"lr": 0.0, "layer_lr": 0.0, "weight_decay": 0.0},
        {"warmup": 0.0, "lr_floor": 0.0, "label_smoothing": 0.0},
        {"warmup": 0.999, "lr_floor": 1.0, "label_smoothing": 0.999},
        {"clip_norm": 1e-9},
    ],
    ids=str,
)
def test_the_ends_of_the_ranges_are_allowed(fine):
    options = TrainOptions(**fine)
    assert {name: getattr(options, name) for name in fine} == fine


@pytest.mark.parametrize(
    ("name", "got", "near"),
    [
        ("optimizer", "adam", "adamw"),
        ("batch_norm", "frozn", "frozen"),
        ("autocast", "bfloat", "bfloat16"),
        ("augment", "flips", "flip"),
    ],
)
def test_unknown_words_are_refused_with_the_nearest(name, got, near):
    with pytest.raises(StitchError, match=rf"^Unknown train\.{name} '{got}'\. Nearest: {near}"):
        TrainOptions(**{name: got})


def test_options_do_not_change():
    options = TrainOptions()
    for field in fields(options):
        with pytest.raises(FrozenInstanceError):
            setattr(options, field.name, getattr(options, field.name))


@pytest.mark.parametrize(
    "wrong", [{"every_steps": 0}, {"every_minutes": 0.0}, {"keep": -1}, {"probe_images": -1}], ids=str
)
def test_checkpoints_have_ranges_too(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(StitchError, match=rf"^train\.checkpoint\.{name} must be .*; got {value}\.$"):
        CheckpointOptions(**wrong)


def test_checkpoints_go_by_steps_or_by_minutes():
    with pytest.raises(StitchError, match=r"every_steps and \.every_minutes\. Give one of them"):
        CheckpointOptions(every_steps=5, every_minutes=1.0)
