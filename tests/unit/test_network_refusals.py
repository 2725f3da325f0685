"""Anchors and spaces that make no network together."""

import pytest

from stitchable.anchors.anchor import Anchor
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec
from stitchable.network import StitchedNetwork, check_compatible
from stitchable.space.build import build_space
from stitchable.space.space import StitchingSpace


@pytest.fixture
def two(vit):
    return [vit("small", 16), vit("large", 24)]


def renamed(anchor, name, **changes):
    given = {"input_spec": anchor.input_spec, "classes": anchor.classes, **changes}
    return Anchor(anchor.model, anchor.split, name=name, **given)


PLAIN = InputSpec((3, 32, 32), (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"img_size": 48}, "one and two take different images: input size 3×32×32 is not 3×48×48"),
        ({"num_classes": 7}, "one tells 10 classes apart, two 7"),
    ],
)
def test_anchors_of_other_images_or_classes(vit, changes, message):
    with pytest.raises(StitchError, match=message):
        StitchedNetwork([vit("one", 16), vit("two", 24, **changes)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"input_spec": InputSpec((3, 32, 32), (0.4,) * 3, (0.5,) * 3)},
            "one and two take different images: input mean 0.5/0.5/0.5 is not 0.4/0.4/0.4",
        ),
        (
            {"input_spec": InputSpec((3, 32, 32), (0.5,) * 3, (1.0,) * 3)},
            "one and two take different images: input std 0.5/0.5/0.5 is not 1/1/1",
        ),
        ({"classes": tuple("abcdefghji")}, "one and two have the same classes in another order"),
        ({"classes": tuple("abcdefghix")}, "Class 9 is 'j' for one and 'x' for two"),
    ],
)
@pytest.mark.parametrize("between", [False, True])
def test_anchors_that_mean_something_else(vit, change, message, between):
    one = renamed(vit("one", 16), "one", input_spec=PLAIN, classes=tuple("abcdefghij"))
    two = renamed(vit("two", 24), "two", **{"input_spec": PLAIN, "classes": None, **change})
    # An anchor that does not know its classes must not hide that its neighbours' differ.
    middle = [renamed(vit("mid", 20), "mid", input_spec=PLAIN)] if between and "classes" in change else []
    with pytest.raises(StitchError, match=message):
        check_compatible([one, *middle, two])


def test_class_names_may_be_known_to_one_alone(vit):
    one = renamed(vit("one", 16), "one", classes=tuple("abcdefghij"))
    assert StitchedNetwork([vit("two", 24), one]).classes == tuple("abcdefghij")


def test_a_space_of_other_anchors(two, vit):
    space = build_space([two[0].outline, vit("b", 24).outline])
    with pytest.raises(StitchError, match="The space is of the anchors small, b; got small, large"):
        StitchedNetwork(two, space)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 4}, "an anchor large of 4 blocks; it has 3"),
        ({"embed_dim": 32}, r"an anchor large whose cut 0 carries \(5, 32\); it carries \(5, 24\)"),
        ({"img_size": 48}, "an anchor large whose cut 0 carries"),
        ({"mlp_ratio": 2}, "an anchor large of other stages or costs"),
    ],
)
def test_a_space_of_anchors_of_the_same_names(two, vit, changes, message):
    planned = vit("large", 24, **changes)
    joints = build_space([anchor.outline for anchor in two]).joints
    with pytest.raises(StitchError, match=message):
        StitchedNetwork(two, StitchingSpace([two[0].outline, planned.outline], joints))


def test_two_anchors_of_one_name_are_not_merged(two, vit):
    space = build_space([anchor.outline for anchor in two])
    with pytest.raises(StitchError, match="Anchor names must differ; got small, large, large"):
        StitchedNetwork([*two, vit("large", 24)], space)


def test_class_names_of_another_number_than_logits(vit):
    for count in (9, 11):
        one = renamed(vit("one", 16), "one", classes=tuple("abcdefghijk"[:count]))
        other = renamed(vit("two", 24), "two", classes=tuple("abcdefghij"))
        with pytest.raises(StitchError, match=f"one has {count} class names for 10 logits"):
            StitchedNetwork([other, one])


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_anchors(two, number):
    with pytest.raises(StitchError, match="at least two"):
        StitchedNetwork(two[:number])
