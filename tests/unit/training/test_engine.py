import copy

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.training.loop import train
from stitchable.training.options import TrainOptions
from stitchable.training.samplers.schedule import ScheduleSampler
from stitchable.training.samplers.uniform import UniformSampler


def state(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def run(network, batches, on_step=None, seed=0, **chosen):
    records = []

    def record(step):
        records.append(step)
        if on_step:
            on_step(step)

    train(
        network,
        lambda epoch: batches,
        sampler=UniformSampler(network.space, seed=2),
        steps_per_epoch=len(batches),
        options=TrainOptions(**{"epochs": 1, "lr": 1e-2, "warmup": 0.0, **chosen}),
        seed=seed,
        on_step=record,
    )
    return [record.loss for record in records]


@pytest.mark.parametrize("pieces", [2, 3, 8, 100])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_pieces_of_a_batch_give_the_whole_batch_s_gradient(
    stitched_vits, stitched_resnets, labelled, pieces, batch_norm
):
    """Pieces of unequal size too, in float64; BatchNorm's statistics are frozen."""
    build, side = (stitched_resnets, 32) if batch_norm else (stitched_vits, 8)
    batches = [(images.double(), labels) for images, labels in labelled(3, 8, side=side)]
    chosen = {"optimizer": "sgd", "clip_norm": 0.5, "label_smoothing": 0.1}
    whole, parts = build().double(), build().double()
    losses = run(whole, batches, **chosen)
    assert run(parts, batches, accumulate=pieces, **chosen) == pytest.approx(losses, rel=1e-12)
    for key, value in parts.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[key], rtol=1e-9, atol=1e-12)


def test_the_average_is_that_of_the_formula(stitched_vits, labelled):
    """a ← d·a + (1 − d)·w after every step, of every parameter."""
    batches = [(images.double(), labels) for images, labels in labelled(5, 8)]
    network, decay = stitched_vits().double(), 0.7
    average = {name: each.detach().clone() for name, each in network.named_parameters()}
    twin = copy.deepcopy(network)
    weights = []

    def after(record):  # called before the average takes the step in, after the weights have
        weights.append({name: each.detach().clone() for name, each in network.named_parameters()})

    losses = run(network, batches, after, ema=decay)
    for taken in weights:
        average = {name: decay * average[name] + (1 - decay) * each for name, each in taken.items()}
    for name, each in network.named_parameters():
        torch.testing.assert_close(each.detach(), average[name], rtol=1e-12, atol=1e-14)
    assert run(twin, batches) == losses  # the steps themselves know nothing of the average
    assert not same(state(twin), state(network))


@pytest.mark.parametrize("arguments", [{}, {"drop_path_rate": 0.5, "proj_drop_rate": 0.3}], ids=str)
def test_activations_computed_again_are_the_same(stitched_vits, labelled, arguments):
    batches, results, kept = labelled(4, 8), [], []
    for again in (False, True):
        network = stitched_vits(**arguments)
        splits = {name: anchor.split for name, anchor in network.anchors.items()}
        held = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, held=held: held.append(t.numel()) or t, lambda t: t
        ):
            losses = run(network, batches, checkpoint_activations=again)
        kept.append(sum(held))
        results.append((losses, state(network)))
        assert {name: anchor.split for name, anchor in network.anchors.items()} == splits
    assert results[0][0] == results[1][0]
    assert same(results[0][1], results[1][1])
    assert kept[1] < kept[0]


def test_what_blocks_draw_is_a_function_of_seed_and_step(stitched_vits, labelled):
    def losses(seed, before):
        torch.manual_seed(before)
        state = torch.get_rng_state()
        found = run(stitched_vits(drop_path_rate=0.5), labelled(6, 8), seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        return found

    assert losses(0, before=1) == losses(0, before=2)
    assert losses(0, before=1) != losses(1, before=1)
    # Steps differ among themselves: one batch and one stitch, again and again, without learning.
    network, ((images, labels),) = stitched_vits(drop_path_rate=0.5), labelled(1, 8)
    found = []
    train(
        network,
        lambda epoch: [(images, labels)] * 6,
        sampler=ScheduleSampler(network.space, [["medium"]]),
        steps_per_epoch=6,
        options=TrainOptions(epochs=1, lr=0.0),
        on_step=lambda record: found.append(record.loss),
    )
    assert len(set(found)) > 2


def test_deterministic_is_on_for_the_steps_alone(stitched_vits, labelled):
    seen = []
    for wanted in (True, False):
        run(
            stitched_vits(),
            labelled(2, 4),
            lambda record: seen.append(torch.are_deterministic_algorithms_enabled()),
            deterministic=wanted,
        )
        assert not torch.are_deterministic_algorithms_enabled()
    assert seen == [True, True, False, False]


def test_float16_is_for_cuda(stitched_vits, labelled):
    network = stitched_vits()
    before = state(network)
    with pytest.raises(
        StitchError, match=r"train\.autocast float16 needs a CUDA device.*Use bfloat16 or none"
    ):
        run(network, labelled(1, 4), autocast="float16")
    assert same(state(network), before)


def test_a_lack_of_memory_says_what_to_lower(stitched_vits, labelled):
    network = stitched_vits()
    network.anchors["medium"].model.blocks[1].register_forward_hook(lambda *hooked: torch.empty(1 << 50))
    with pytest.raises(StitchError) as error:
        run(network, labelled(8, 4), accumulate=2)
    assert str(error.value).startswith("Out of memory at step ")
    assert "Set train.accumulate to 4" in str(error.value)
    assert "train.checkpoint_activations, or lower train.batch_size" in str(error.value)


def test_other_errors_of_torch_pass(stitched_vits, labelled):
    with pytest.raises(RuntimeError, match=r"dtype|type"):
        run(stitched_vits(), [(images.double(), labels) for images, labels in labelled(1, 4)])


@pytest.mark.slow
# Torch's own compiler looks where torch's own warning says not to.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_blocks_keep_their_names_and_numbers(stitched_vits, labelled):
    batches = labelled(6, 8)
    plain, compiled = stitched_vits(), stitched_vits()
    losses = run(plain, batches)
    during = []

    def look(record):
        during.append(sum(module._compiled_call_impl is not None for module in compiled.modules()))

    assert run(compiled, batches, look, compile=True) == pytest.approx(losses, rel=1e-4)
    assert set(during) == {6}  # three blocks of two anchors
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    assert all(module._compiled_call_impl is None for module in compiled.modules())


@pytest.mark.slow
def test_without_a_compiler_compile_is_refused(stitched_vits, labelled, monkeypatch, tmp_path):
    import torch._inductor.config as inductor

    torch.compiler.reset()
    monkeypatch.setattr(inductor.cpp, "cxx", (str(tmp_path / "no-compiler"),))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    network = stitched_vits()
    with pytest.raises(StitchError, match=r"train\.compile finds no compiler that works here .*g\+\+"):
        run(network, labelled(1, 4), compile=True)
    assert all(module._compiled_call_impl is None for module in network.modules())
