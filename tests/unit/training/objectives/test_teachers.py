"""Who teaches: what is copied, how often it runs, and that training does not reach it."""

import copy

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec
from stitchable.training.guard import AnchorGuard
from stitchable.training.guard_options import GuardOptions
from stitchable.training.loop import train
from stitchable.training.objective_options import ObjectiveOptions
from stitchable.training.objectives.build import build_objective
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.schedule import ScheduleSampler

JOINED = "small[0:1]+medium[1:3]"


def test_a_teacher_must_fit(network, tiny_vit):
    options = TrainOptions(objective=ObjectiveOptions(soft_distillation=1.0, teacher="x@y"))
    with pytest.raises(StitchError, match=r"No teacher 'x@y' was loaded\."):
        build_objective(network, options)
    for teacher, message in (
        (tiny_vit("other", 4, num_classes=3), "tells 3 classes apart, the anchors 5"),
        (tiny_vit("other", 4, side=16), "input size 1×16×16 is not 1×8×8"),
    ):
        with pytest.raises(StitchError, match=f"The teacher other .*{message}"):
            build_objective(network, options, teacher=teacher)
    named = [tiny_vit("other", 4), tiny_vit("small", 4), tiny_vit("medium", 6)]
    for anchor, classes in zip(named, ("abcde", "abdce", "abdce"), strict=True):
        anchor.classes = tuple(classes)
    network.anchors["small"].classes = named[1].classes
    with pytest.raises(StitchError, match="calls class 2 'c', the anchors 'd'"):
        build_objective(network, options, teacher=named[0])
    assert named[0].input_spec == InputSpec((1, 8, 8), (0.5,), (0.5,))


def test_a_teacher_runs_once_per_batch_whoever_asks(network, batch):
    options = TrainOptions(
        objective=ObjectiveOptions(
            soft_distillation=1.0, hard_distillation=1.0, feature_matching=1.0, teacher="end_anchor"
        )
    )
    objective, ran = build_objective(network, options), []
    for name, anchor in objective.teachers.anchors.items():
        anchor.model.blocks[0].register_forward_hook(lambda *hooked, name=name: ran.append(name))
    stitches = [network.space.stitch(each) for each in ("medium", JOINED, "small[0:2]+medium[2:3]")]
    objective(network, stitches, *batch, step=0)
    assert ran == ["medium"]


def test_only_what_is_asked_for_is_copied(network):
    def taught(guard=None, **chosen):
        options = TrainOptions(objective=ObjectiveOptions(**chosen))
        return set(build_objective(network, options, guard=guard).teachers.anchors)

    assert taught() == set()
    assert taught(soft_distillation=1.0) == {"medium"}
    assert taught(soft_distillation=1.0, teacher="small") == {"small"}
    assert taught(feature_matching=1.0) == {"small", "medium"}
    watching, steering = GuardOptions(every=1), GuardOptions(every=1, limit=0.5)
    assert taught(AnchorGuard(list, watching)) == set()
    assert taught(AnchorGuard(list, steering)) == {"small", "medium"}


def test_training_does_not_reach_the_teachers(network, batch):
    options = TrainOptions(
        epochs=3,
        lr=1e-2,
        objective=ObjectiveOptions(soft_distillation=1.0, feature_matching=1.0, teacher="end_anchor"),
    )
    objective = build_objective(network, options)
    before = {name: copy.deepcopy(each.state_dict()) for name, each in objective.teachers.anchors.items()}
    train(
        network,
        lambda epoch: [batch],
        sampler=ScheduleSampler(network.space, [[network.space[step]] for step in range(3)]),
        steps_per_epoch=1,
        options=options,
        objective=objective,
    )
    for name, anchor in objective.teachers.anchors.items():
        for key, value in anchor.state_dict().items():
            assert torch.equal(value, before[name][key])
    assert not torch.equal(
        network.anchors["small"].model.head.weight, objective.teachers.anchors["small"].model.head.weight
    )
