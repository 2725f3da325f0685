import copy
from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from stitchable.errors import StitchError
from stitchable.paths import run_paths


@pytest.fixture
def images(network):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, *network.input_spec.size, generator=generator)


@torch.no_grad()
def test_logits_are_the_very_bits_of_separate_calls(network, images):
    stitches = list(network.space)[::2][::-1]
    outputs = run_paths(network, images, stitches)
    assert list(outputs) == stitches
    for stitch, logits in outputs.items():
        assert torch.equal(logits, network(images, stitch)), str(stitch)


@torch.no_grad()
def test_ids_and_names_are_stitches_and_one_that_comes_twice_runs_once(vit_network, monkeypatch):
    images, ran, apply_step = torch.zeros(1, 3, 32, 32), Counter(), vit_network.apply_step

    def count(step, x):
        ran[step] += 1
        return apply_step(step, x)

    monkeypatch.setattr(vit_network, "apply_step", count)
    outputs = run_paths(vit_network, images, ["small[0:2]+large[1:3]", "small", "small[0:3]"])
    assert [str(stitch) for stitch in outputs] == ["small[0:2]+large[1:3]", "small[0:3]"]
    # Stem and two blocks are common; then a layer, two blocks and a head, and a block and a head.
    assert ran.total() == 3 + 4 + 2
    assert set(ran.values()) == {1}


def test_one_backward_pass_gives_the_sum_of_the_separate_gradients(network, images):
    network = copy.deepcopy(network).double()
    images, labels = images.double(), torch.tensor([0, 3, 1])
    stitches = list(network.space)[:: max(1, network.space.count // 6)]
    outputs = run_paths(network, images, stitches)
    torch.autograd.backward(sum(F.cross_entropy(logits, labels) for logits in outputs.values()))
    together = {name: parameter.grad for name, parameter in network.named_parameters()}
    network.zero_grad(set_to_none=True)
    for stitch in stitches:
        torch.autograd.backward(F.cross_entropy(network(images, stitch), labels))
    for name, parameter in network.named_parameters():
        if parameter.grad is None:
            assert together[name] is None, name
        else:
            assert torch.allclose(together[name], parameter.grad, rtol=1e-9, atol=1e-12), name
    assert sum(grad is not None for grad in together.values()) > 20


def test_what_is_random_in_a_shared_prefix_is_drawn_once(stitched_vits, noise):
    network = stitched_vits(drop_path_rate=0.6).train()
    torch.manual_seed(0)
    seen = []
    handle = (
        network.anchors["small"]
        .model.blocks[2]
        .register_forward_hook(lambda part, given, out: seen.append(given[0]))
    )
    run_paths(network, noise(8), ["small", "small[0:2]+medium[2:3]"])
    handle.remove()
    assert len(seen) == 1


def test_a_stitch_that_is_not_there_is_refused(vit_network):
    with pytest.raises(StitchError, match="is not in the space"):
        run_paths(vit_network, torch.zeros(1, 3, 32, 32), ["small", "small[0:1]+large[2:3]"])


def test_no_stitches_run_nothing(vit_network):
    assert run_paths(vit_network, torch.zeros(1, 3, 32, 32), []) == {}
