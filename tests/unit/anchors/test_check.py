import dataclasses

import pytest
import torch
from torch import nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.check import check_anchor
from stitchable.anchors.split import Part, submodule
from stitchable.errors import StitchError


def changed(anchor, **parts):
    """The same model, described otherwise."""
    split = dataclasses.replace(anchor.split, **parts)
    return Anchor(anchor.model, split, name=anchor.name, input_spec=anchor.input_spec)


def replaced(parts, index, part):
    return (*parts[:index], part, *parts[index + 1 :])


def test_says_what_it_compared(vit):
    anchor = vit("tiny", 16)
    found = check_anchor(anchor)
    assert (found.anchor, found.cuts, found.difference) == ("tiny", 4, 0.0)
    assert found.parameters == sum(p.numel() for p in anchor.model.parameters())


@pytest.mark.parametrize("count", [9, 11])
def test_class_names_of_another_number_than_logits(vit, count):
    anchor = vit("tiny", 16)
    anchor.classes = tuple("abcdefghijk"[:count])
    with pytest.raises(StitchError, match=f"tiny has {count} class names for 10 logits"):
        check_anchor(anchor)


@pytest.mark.parametrize("maker", ["vit", "resnet"])
def test_leaves_everything_as_it_was(request, maker):
    anchor = request.getfixturevalue(maker)("tiny", **({"width": 16} if maker == "vit" else {}))
    modules = list(anchor.modules())
    for index, module in enumerate(modules):  # a pattern that neither train() nor eval() makes
        module.training = index % 3 == 0
    calls = []
    hook = modules[-1].register_forward_hook(lambda *_: calls.append(1))
    training = [module.training for module in modules]
    hooks = [dict(module._forward_hooks) for module in modules]
    tensors = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in anchor.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()

    check_anchor(anchor)

    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in modules] == training
    assert [dict(module._forward_hooks) for module in modules] == hooks
    assert calls
    hook.remove()
    for name, tensor in anchor.state_dict().items():
        assert tensor.data_ptr() == tensors[name][0]
        assert torch.equal(tensor, tensors[name][1])
    assert all(parameter.grad is None for parameter in anchor.parameters())


def test_modes_come_back_after_an_error(vit):
    anchor = vit("tiny", 16).train()
    with pytest.raises(StitchError):
        check_anchor(changed(anchor, head=Part(lambda m, x: m.forward_head(x), anchor.split.head.uses)))
    assert all(module.training for module in anchor.model.modules())


def wrong_head(anchor):
    # The released DeiT stitches: no final norm before the classifier.
    return changed(anchor, head=Part(lambda model, x: model.forward_head(x), anchor.split.head.uses))


def head_uses_too_little(anchor):
    return changed(anchor, head=dataclasses.replace(anchor.split.head, uses=("head",)))


def stem_uses_too_little(anchor):
    return changed(anchor, stem=dataclasses.replace(anchor.split.stem, uses=("patch_embed", "cls_token")))


def block_uses_too_little(anchor):
    run = lambda model, x: model.blocks[1](x) + 0 * model.norm.bias  # noqa: E731
    return changed(anchor, blocks=replaced(anchor.split.blocks, 1, Part(run, ("blocks.1",))))


def block_edits_its_input(anchor):
    run = lambda model, x: model.blocks[1](x.add_(1).sub_(1).mul_(1.5).div_(1.5).neg_()).neg()  # noqa: E731
    return changed(anchor, blocks=replaced(anchor.split.blocks, 1, Part(run, ("blocks.1",))))


def block_left_out(anchor):
    return changed(anchor, blocks=anchor.split.blocks[:2], stages=(0, 0))


def blocks_out_of_order(anchor):
    return changed(anchor, blocks=anchor.split.blocks[::-1])


def parameter_of_no_part(anchor):
    anchor.model.extra = nn.Parameter(torch.zeros(3))
    return changed(anchor)


def statistics_that_move(anchor):
    anchor.model.register_buffer("calls", torch.zeros(()))

    def run(model, x):
        model.calls += 1
        return model.blocks[1](x)

    return changed(anchor, blocks=replaced(anchor.split.blocks, 1, Part(run, ("blocks.1", "calls"))))


def no_logits(anchor):
    anchor.model.forward = lambda x: [x]
    return anchor


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (wrong_head, "stem, blocks and head do not make up the model; the logits differ by up to"),
        (head_uses_too_little, "the head reads more of the model than its 'uses' names"),
        (stem_uses_too_little, "the stem reads more of the model than its 'uses' names"),
        (block_uses_too_little, "the block 1 reads more of the model than its 'uses' names"),
        (block_edits_its_input, "the block 1 changes its input in place"),
        (block_left_out, "do not make up the model"),
        (blocks_out_of_order, "do not make up the model"),
        (parameter_of_no_part, r"no part uses the parameter extra \(1 in all\)"),
        (statistics_that_move, "running it in eval mode changes model.calls"),
        (no_logits, "the model does not return logits"),
    ],
)
def test_finds(vit, break_it, message):
    anchor = vit("tiny", 16)
    with torch.no_grad():  # random norms and biases, or a forgotten one would go unnoticed
        for number, parameter in enumerate(anchor.model.parameters()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    check_anchor(anchor)
    broken = break_it(anchor)
    with pytest.raises(StitchError, match=message) as error:
        check_anchor(broken)
    assert str(error.value).startswith("tiny: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("prefix", [0, 2, 4])
def test_wrong_prefix_tokens_do_not_fit_the_grid(vit, prefix):
    with pytest.raises(StitchError, match=f"5 tokens are not {prefix} prefix tokens and a 2×2 grid"):
        changed(vit("tiny", 16), prefix_tokens=prefix)


def test_features_that_are_not_what_the_outline_says(vit):
    # A model that was changed after it was described.
    anchor = vit("tiny", 16)
    anchor.model.patch_embed.proj.stride = (8, 8)
    anchor.model.pos_embed = nn.Parameter(torch.zeros(1, 1 + 9, 16))
    with pytest.raises(StitchError, match=r"cut 0 carries \(2, 10, 16\), its spec says \(2, 5, 16\)"):
        check_anchor(anchor)


def test_a_block_of_the_users_own_that_is_right(vit):
    anchor = vit("tiny", 16)
    same = changed(anchor, blocks=replaced(anchor.split.blocks, 1, submodule("blocks.1")))
    assert check_anchor(same).difference == 0.0
