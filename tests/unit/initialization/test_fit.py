import copy
import gc
import weakref

import numpy as np
import pytest
import torch

from stitchable.errors import StitchError
from stitchable.initialization.fit import fit_least_squares
from stitchable.network import StitchedNetwork
from stitchable.space.build import SpaceOptions


def blocks_of(model):
    """The blocks of a timm model by timm's own names."""
    if hasattr(model, "blocks"):
        return list(model.blocks)
    return [block for stage in (1, 2, 3, 4) for block in model.get_submodule(f"layer{stage}")]


def as_rows(x):
    """One row per token or pixel; channels lie last in tokens and second in maps."""
    x = x.detach().numpy()
    return (x if x.ndim == 3 else np.moveaxis(x, 1, 3)).reshape(-1, x.shape[2 if x.ndim == 3 else 1])


def hooked_features(network, images):
    """Rows at every cut, read by hooks while each timm model runs as a whole in eval mode."""
    found = {}
    for name, anchor in network.anchors.items():
        blocks, hooks = blocks_of(anchor.model), []
        for index, block in enumerate(blocks):

            def keep(_block, taken, given, name=name, index=index):
                found[name, index] = as_rows(taken[0])
                found[name, index + 1] = as_rows(given)

            hooks.append(block.register_forward_hook(keep))
        with torch.no_grad():
            anchor.model.eval()(images)
        for hook in hooks:
            hook.remove()
    return found


def solve(x, y):
    solution = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]
    return solution[:-1].T, solution[-1]


def pairs_of(network, layer, features):
    """Rows of the front and of the end anchor for each pair of a layer."""
    return [
        (features[joint.front, joint.leave], features[joint.end, joint.enter])
        for joint in network.space.layers[layer]
    ]


def joint_solution(network, layer, features):
    x, y = (np.concatenate(side) for side in zip(*pairs_of(network, layer, features), strict=True))
    weight, bias = solve(x, y)
    residual = np.square(y - x @ weight.T - bias).sum()
    return weight, bias, 1 - residual / np.square(y - y.mean(0)).sum(), len(x)


def affine_of(layer):
    weight = layer.projection.weight.detach()
    return weight.reshape(weight.shape[:2]).numpy(), layer.projection.bias.detach().numpy()


def state(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def same_state(network, before):
    return all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def close(got, expected, tolerance=1e-10):
    return np.linalg.norm(got - expected) <= tolerance * np.linalg.norm(expected)


@pytest.fixture(params=["vits", "resnets", "all pairs both ways"])
def network_and_images(request, stitched_vits, stitched_resnets, noise):
    """Networks in float64, so that features are the same to the last digits for any batch size."""
    if request.param == "vits":
        return stitched_vits(anchors=3).double(), noise(60).double()
    if request.param == "resnets":
        return stitched_resnets().double(), noise(40, side=32).double()
    options = SpaceOptions(kernel=3, pairs="all", direction="both", joints=2)
    return stitched_vits(options, anchors=3).double(), noise(60).double()


def test_solves_all_rows_of_a_layers_pairs_jointly(network_and_images):
    network, images = network_and_images
    features = hooked_features(network, images)
    fits = {fit.layer: fit for fit in fit_least_squares(network, images.split(16))}
    assert list(fits) == list(network.layers)
    assert max(fit.pairs for fit in fits.values()) > 1
    for layer, fit in fits.items():
        weight, bias, r2, count = joint_solution(network, layer, features)
        got = affine_of(network.layers[layer])
        assert close(got[0], weight)
        assert close(got[1], bias)
        assert fit.r2 == pytest.approx(r2, rel=1e-10)
        assert (fit.rows, fit.pairs) == (count, len(network.space.layers[layer]))


def test_every_token_and_pixel_is_a_row(stitched_vits, stitched_resnets, noise):
    for fit in fit_least_squares(stitched_vits(), [noise(20)]):
        assert fit.rows == fit.pairs * 20 * (1 + 2 * 2)  # the class token too
    network = stitched_resnets()
    for fit in fit_least_squares(network, [noise(20, side=32)]):
        side = 8 >> int(fit.layer.split(":")[1][0])
        assert fit.rows == fit.pairs * 20 * side * side


def test_any_batch_size_gives_the_same(network_and_images):
    network, images = network_and_images
    fit_least_squares(network, [images])
    whole = {name: affine_of(layer) for name, layer in network.layers.items()}
    whole = {name: (weight.copy(), bias.copy()) for name, (weight, bias) in whole.items()}
    for batches in (images.split(1), images.split(7), [images[:1], images[1:1], images[1:]]):
        fit_least_squares(network, batches)
        for name, layer in network.layers.items():
            weight, bias = affine_of(layer)
            assert close(weight, whole[name][0])
            assert close(bias, whole[name][1])


def test_a_float32_network_is_solved_in_float64(stitched_vits, noise):
    network, images = stitched_vits(), noise(60)
    features = {cut: rows.astype(np.float64) for cut, rows in hooked_features(network, images).items()}
    fit_least_squares(network, [images])
    for layer in network.layers:
        weight, bias, _, _ = joint_solution(network, layer, features)
        got = affine_of(network.layers[layer])
        # All that is lost is the rounding into the layer, half a unit in float32's last place.
        np.testing.assert_allclose(got[0], weight, rtol=2**-24, atol=1e-9)
        np.testing.assert_allclose(got[1], bias, rtol=2**-24, atol=1e-9)


def test_the_joint_solution_is_not_the_average_of_the_pairs_solutions(stitched_vits, stitched_resnets, noise):
    for network, images in ((stitched_vits(), noise(60)), (stitched_resnets(), noise(40, side=32))):
        network, images = network.double(), images.double()
        features = hooked_features(network, images)
        fit_least_squares(network, [images])
        shared = [layer for layer, joints in network.space.layers.items() if len(joints) > 1]
        assert shared
        for layer in shared:
            pairs = pairs_of(network, layer, features)
            average = np.mean([solve(x, y)[0] for x, y in pairs], axis=0)
            joint = joint_solution(network, layer, features)[0]
            got = affine_of(network.layers[layer])[0]
            assert close(got, joint)
            if len({id(x) for x, _ in pairs}) > 1:  # pairs of one front: the average happens to be joint
                assert np.linalg.norm(average - joint) > 0.01 * np.linalg.norm(joint)


def test_ridge_is_relative_to_the_scatter_of_all_pairs(stitched_vits, noise):
    network, images = stitched_vits().double(), noise(60).double()
    features = hooked_features(network, images)
    fit_least_squares(network, images.split(25), ridge=0.3)
    for layer in network.layers:
        x, y = (np.concatenate(side) for side in zip(*pairs_of(network, layer, features), strict=True))
        centred, width = x - x.mean(0), x.shape[1]
        extra = np.sqrt(0.3 * np.square(centred).sum() / width) * np.eye(width)
        target = np.r_[y - y.mean(0), np.zeros((width, y.shape[1]))]
        expected = np.linalg.lstsq(np.r_[centred, extra], target, rcond=None)[0].T
        assert close(affine_of(network.layers[layer])[0], expected)


def test_dropout_and_drop_path_are_off(stitched_vits, stitched_resnets, noise):
    chance = {"drop_path_rate": 0.5, "drop_rate": 0.5}
    for network, images in (
        (stitched_vits(proj_drop_rate=0.5, attn_drop_rate=0.5, pos_drop_rate=0.5, **chance), noise(40)),
        (stitched_resnets(**chance), noise(40, side=32)),
    ):
        twin = copy.deepcopy(network)
        name = next(iter(network.anchors))
        assert not torch.allclose(copy.deepcopy(network).train()(images, name), twin.eval()(images, name))
        fit_least_squares(network.train(), images.split(16))
        fit_least_squares(twin.eval(), images.split(16))
        for got, expected in zip(network.layers.values(), twin.layers.values(), strict=True):
            assert torch.equal(got.projection.weight, expected.projection.weight)
            assert torch.equal(got.projection.bias, expected.projection.bias)


def test_batch_norm_and_everything_but_the_layers_stay_as_they_were(stitched_resnets, noise):
    network = stitched_resnets().train()
    before = state(network)
    assert sum(key.endswith("num_batches_tracked") for key in before) > 20
    fit_least_squares(network, noise(40, side=32).split(16))
    for key, value in network.state_dict().items():
        changed = not torch.equal(value, before[key])
        assert changed == key.startswith("layers."), key


def test_no_random_state_is_touched(stitched_vits, noise):
    network, images = stitched_vits(), noise(40)
    before = torch.get_rng_state()
    fit_least_squares(network, [images])
    assert torch.equal(torch.get_rng_state(), before)


def mixed_modes(network):
    for number, module in enumerate(network.modules()):
        module.training = number % 3 == 0
    return [module.training for module in network.modules()]


def breaking_off(images):
    yield images
    raise RuntimeError("the disk is gone")


def test_modes_are_restored(stitched_vits, stitched_resnets, noise):
    for network, images in ((stitched_vits(), noise(40)), (stitched_resnets(), noise(40, side=32))):
        before = mixed_modes(network)
        fit_least_squares(network, [images])
        assert [module.training for module in network.modules()] == before
        with pytest.raises(RuntimeError, match="the disk is gone"):
            fit_least_squares(network, breaking_off(images))
        assert [module.training for module in network.modules()] == before


def test_eval_mode_holds_while_the_features_are_computed(stitched_vits, noise):
    network, seen = stitched_vits().train(), []
    blocks = [block for anchor in network.anchors.values() for block in anchor.model.blocks]
    for block in blocks:
        block.register_forward_hook(lambda module, *_: seen.append(any(m.training for m in module.modules())))
    fit_least_squares(network, [noise(40)])
    assert seen
    assert not any(seen)


def test_nothing_changes_where_the_images_break_off(stitched_vits, noise):
    network = stitched_vits()
    before = state(network)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        fit_least_squares(network, breaking_off(noise(40)))
    assert same_state(network, before)


def test_nothing_changes_where_a_later_layer_cannot_be_solved(stitched_vits, noise):
    network = stitched_vits(anchors=3)
    with torch.no_grad():
        network.anchors["large"].model.blocks[1].mlp.fc2.bias[0] = float("nan")
    before = state(network)
    # The layers from small to medium come first and are solved.
    with pytest.raises(StitchError, match=r"^Layer medium>large:0-\d: Features are not finite"):
        fit_least_squares(network, [noise(40)])
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) or "blocks.1.mlp.fc2.bias" in key


def test_too_few_rows_name_the_layer(stitched_vits, noise):
    network = stitched_vits(SpaceOptions(kernel=1), anchors=3)
    before = state(network)
    # One image has five tokens: enough for width 4, not for width 6.
    with pytest.raises(StitchError, match="Layer medium>large:0-0: Least squares saw 5 rows for width 6"):
        fit_least_squares(network, [noise(1)])
    assert same_state(network, before)
    assert len(fit_least_squares(network, [noise(1)], ridge=0.1)) == 6


@pytest.mark.parametrize("batches", [[], [torch.zeros(0, 1, 8, 8)]])
def test_no_images_are_refused(stitched_vits, batches):
    with pytest.raises(StitchError, match="saw no images"):
        fit_least_squares(stitched_vits(), batches)


def test_sums_do_not_grow_with_the_images(stitched_vits, noise):
    """Counts every float64 number alive between two batches: the network itself is float32."""
    network, held = stitched_vits(anchors=3), []

    def alive():
        gc.collect()
        tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor]
        return sum(tensor.numel() for tensor in tensors if tensor.dtype == torch.float64)

    before = alive()  # what other tests left behind

    def batches(count):
        for number in range(count):
            held.append(alive() - before)
            yield noise(8, seed=number)

    fit_least_squares(network, batches(6))
    fronts = {(joint.front, joint.leave) for joint in network.space.joints}
    ends = {(joint.end, joint.enter) for joint in network.space.joints}

    def width(cut):
        return network.space.outlines[cut[0]].features[cut[1]].width

    # One Gram matrix per front cut, one cross product per layer, per cut the sum and a shift to subtract,
    # and the squares of the cuts that no joint leaves.
    features = [network.space.features(joints[0]) for joints in network.space.layers.values()]
    sums = sum(width(cut) for cut in fronts | ends)
    numbers = sum(width(cut) ** 2 for cut in fronts) + sum(a.width * b.width for a, b in features)
    numbers += 2 * sums + sum(width(cut) for cut in ends - fronts)
    assert held == [numbers - sums, *[numbers] * 5]


def test_no_batch_is_kept(stitched_vits, noise):
    network, alive = stitched_vits(), []

    def batches():
        references = []
        for number in range(5):
            batch = noise(8, seed=number)
            references.append(weakref.ref(batch))
            yield batch
            del batch
            gc.collect()
            alive.append(sum(reference() is not None for reference in references[:-1]))

    fit_least_squares(network, batches())
    assert alive == [0] * 5


def test_gradients_are_not_recorded(stitched_vits, noise):
    network = stitched_vits()
    fit_least_squares(network, [noise(40)])
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_twins_are_joined_by_the_identity(tiny_vit, noise):
    anchors = [tiny_vit(name, 8, seed=3) for name in ("one", "two")]
    network = StitchedNetwork(anchors, SpaceOptions(kernel=2, sharing="none")).double().eval()
    images = noise(80).double()
    fits = {fit.layer: fit for fit in fit_least_squares(network, images.split(30))}
    level = [joint for joint in network.space.joints if joint.leave == joint.enter]
    assert len(level) == 2
    for joint in level:
        weight, bias = affine_of(network.layers[joint.layer])
        np.testing.assert_allclose(weight, np.eye(8), atol=1e-10)
        np.testing.assert_allclose(bias, 0, atol=1e-10)
        assert fits[joint.layer].r2 == pytest.approx(1, abs=1e-12)
        stitch = f"one[0:{joint.leave}]+two[{joint.enter}:3]"
        torch.testing.assert_close(network(images, stitch), network(images, "one"), rtol=1e-9, atol=1e-9)
