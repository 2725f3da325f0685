import pytest

from stitchable.errors import StitchError
from stitchable.training.objective_options import TERMS, ObjectiveOptions
from stitchable.training.options import TrainOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *(({name: -0.5}, rf"\.{name} must be a finite number of at least 0; got -0\.5") for name in TERMS),
        ({"cross_entropy": float("inf")}, r"\.cross_entropy must be .*; got inf"),
        ({"mixup": -1.0}, r"\.mixup must be a finite number of at least 0"),
        ({"cutmix": float("nan")}, r"\.cutmix must be .*; got nan"),
        ({"mix_probability": 1.1}, r"\.mix_probability must be a share in \[0, 1\]; got 1\.1"),
        ({"cutmix_share": -0.1}, r"\.cutmix_share must be a share"),
        ({"match_cut": 0}, r"\.match_cut must be -1 or below; got 0"),
        ({"temperature": 0.0}, r"\.temperature must be positive and finite; got 0\.0"),
        ({"temperature": float("nan")}, r"\.temperature must be positive and finite; got nan"),
        ({"cross_entropy": 0.0}, "All weights of train.objective are 0. Give one of cross_entropy"),
        ({"teacher": "big"}, "teacher is 'big', and no term asks it. Set soft_distillation"),
        ({"teacher": "big", "feature_matching": 1.0}, "no term asks it"),
    ],
)
def test_what_makes_no_objective_is_refused(wrong, message):
    with pytest.raises(StitchError, match=message):
        ObjectiveOptions(**wrong)


@pytest.mark.parametrize(
    "fine",
    [
        *({"cross_entropy": 0.0, name: 1e-9} for name in TERMS[1:]),
        {"soft_distillation": 1.0, "teacher": "big", "temperature": 1e-3},
        {"mixup": 0.0, "cutmix": 0.0, "mix_probability": 0.0, "cutmix_share": 1.0},
    ],
    ids=str,
)
def test_the_ends_of_the_ranges_are_allowed(fine):
    options = ObjectiveOptions(**fine)
    assert {name: getattr(options, name) for name in fine} == fine


def test_whether_it_mixes():
    assert not ObjectiveOptions().mixes
    assert ObjectiveOptions(mixup=0.8).mixes
    assert ObjectiveOptions(cutmix=1.0).mixes
    assert not ObjectiveOptions(mixup=0.8, mix_probability=0.0).mixes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rank": 0}, r"train\.rank must be at least 1; got 0"),
        ({"interpolation": 0.0}, r"train\.interpolation must be above 0, and 1 at most; got 0\.0"),
        ({"lr_multipliers": {"small": -1.0}}, r"train\.lr_multipliers must be factors of at least 0"),
        ({"lr_multipliers": {"small": float("inf")}}, r"train\.lr_multipliers must be"),
        ({"tune": "layer"}, r"Unknown train\.tune 'layer'\. Nearest: layers"),
        (
            {"batch_size": 7, "objective": ObjectiveOptions(mixup=0.1)},
            r"train\.batch_size must be at least 1, and even in each of train\.accumulate pieces, .*; got 7",
        ),
    ],
)
def test_the_options_of_training_around_it(wrong, message):
    with pytest.raises(StitchError, match=message):
        TrainOptions(**wrong)


def test_odd_batches_are_fine_where_nothing_mixes():
    with pytest.raises(StitchError, match=r"train\.batch_size must be at least 1; got 0"):
        TrainOptions(batch_size=0)
    assert TrainOptions(batch_size=7).batch_size == 7
