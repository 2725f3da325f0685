import copy

import pytest
import torch
from torch import nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.split import Part, Split, submodule
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.input_spec import InputSpec

IMAGES = InputSpec((3, 8, 8), (0.5,) * 3, (0.5,) * 3)


class Tied(nn.Module):
    """Tokens through one shared linear layer twice, between an embedding and a head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 6, 4, 4)
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        return self.head(self.second(self.first(self.embed(x).flatten(2).transpose(1, 2)))[:, 0])


def tied_split(**changes):
    parts = {
        "stem": Part(lambda model, x: model.embed(x).flatten(2).transpose(1, 2), ("embed",)),
        "blocks": (submodule("first"), submodule("second")),
        "head": Part(lambda model, x: model.head(x[:, 0]), ("head",)),
        "stages": (0, 0),
    }
    return Split(**{**parts, **changes})


def tied(**changes):
    return Anchor(Tied(), tied_split(**changes), name="tied", input_spec=IMAGES)


@pytest.mark.parametrize("maker", ["vit", "resnet"])
def test_the_model_is_held_and_not_edited(request, maker):
    anchor = request.getfixturevalue(maker)("tiny", **({"width": 16} if maker == "vit" else {}))
    model = anchor.model
    names = [name for name, _ in model.named_parameters()]
    assert [name for name, _ in anchor.named_parameters()] == [f"model.{name}" for name in names]
    assert [name for name, _ in anchor.named_buffers()] == [f"model.{n}" for n, _ in model.named_buffers()]
    own = Anchor(model, anchor.split, name="again", input_spec=anchor.input_spec)
    assert own.model is model


def test_any_cut_to_any_later_one(vit):
    anchor = vit("tiny", 16)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        features = [anchor.stem(x)]
        for block in anchor.model.blocks:
            features.append(block(features[-1]))
        for start in range(4):
            for stop in range(start, 4):
                assert torch.equal(anchor.run(features[start], start, stop), features[stop])
        assert torch.equal(anchor.head(features[3]), anchor.model(x))


def test_outline_follows_shapes_and_costs_by_hand():
    anchor = tied()
    assert anchor.depth == 2
    assert anchor.features == (FeatureSpec("tokens", 6, (2, 2)),) * 3
    assert anchor.class_count == 5
    outline = anchor.outline
    # 3·4·4 inputs for each of 4 patches and 6 channels; a linear layer on 4 tokens twice; a head on one.
    macs = [part.macs for part in (outline.stem, *outline.blocks, outline.head)]
    assert macs == [4 * 6 * 48, 4 * 36, 4 * 36, 6 * 5]
    # The shared 6×6 weight is one parameter, held by whoever holds a block.
    assert outline.cost.params == sum(p.numel() for p in anchor.model.parameters())
    assert outline.cost.params == (6 * 48 + 6) + 36 + 6 + 6 + (6 * 5 + 5)


def test_outline_costs_no_data_and_changes_nothing(vit):
    anchor = vit("tiny", 16)
    model = copy.deepcopy(anchor.model).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    Anchor(model, anchor.split, name="again", input_spec=anchor.input_spec)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("blocks", "stem", "head", "prefixes"),
    [
        ([0, 2], False, False, ("blocks.0.", "blocks.2.")),
        ([], True, False, ("patch_embed.", "cls_token", "pos_embed")),
        ([1], False, True, ("blocks.1.", "norm.", "head.")),
    ],
)
def test_holding_parts_alone(vit, blocks, stem, head, prefixes):
    anchor = vit("tiny", 16)
    some = anchor.holding(blocks, stem=stem, head=head)
    expected = {name for name, _ in anchor.model.named_parameters() if name.startswith(prefixes)}
    assert {name for name, _ in some.model.named_parameters()} == expected
    assert (some.name, some.outline, some.classes) == (anchor.name, anchor.outline, anchor.classes)
    assert some.training == anchor.training


@pytest.mark.parametrize("training", [True, False])
def test_holding_keeps_the_mode(vit, training):
    some = vit("tiny", 16).train(training).holding([0], stem=True, head=False)
    assert {module.training for module in some.model.blocks[0].modules()} == {training}


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": (), "stages": ()}, "got 0 blocks and 0 stage numbers"),
        ({"stages": (0,)}, "got 2 blocks and 1 stage numbers"),
        ({"stages": (0, 2)}, "must start at 0 and rise by at most one"),
        ({"stages": (1, 0)}, "must start at 0 and rise by at most one"),
        ({"prefix_tokens": 1}, "4 tokens are not 1 prefix tokens and a 1×1 grid"),
        ({"grid": (1, 3)}, "4 tokens are not 0 prefix tokens and a 1×3 grid"),
        ({"stem": submodule("head")}, "the stem does not take a feature of shape (1, 3, 8, 8)"),
        (
            {"blocks": (submodule("first"), submodule("embed"))},
            "the block 1 does not take a feature",
        ),
        ({"blocks": (submodule("first"), submodule("third"))}, "has no attribute 'third'"),
        ({"head": submodule("embed")}, "the head does not take a feature of shape (1, 4, 6)"),
        ({"stem": Part(lambda m, x: m.embed(x).flatten(1), ("embed",))}, "a cut carries shape (1, 24)"),
    ],
)
def test_a_description_that_does_not_fit(changes, message):
    with pytest.raises(StitchError) as error:
        tied(**changes)
    assert message in str(error.value)
    assert str(error.value).startswith("tied: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.b", "a[0]", "a+b", ""])
def test_names_that_cannot_stand_in_a_stitch_id(name):
    with pytest.raises(StitchError, match="cannot stand in a stitch id"):
        Anchor(Tied(), tied_split(), name=name, input_spec=IMAGES)


@pytest.mark.parametrize("name", ["half", "train", "keys"])
def test_names_that_a_network_could_not_hold(name):
    with pytest.raises(StitchError, match=f"Anchor name '{name}' is taken by PyTorch's modules"):
        Anchor(Tied(), tied_split(), name=name, input_spec=IMAGES)
