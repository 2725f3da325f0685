import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stitchable.anchors.weights import load_weights, read_tensors
from stitchable.errors import StitchError


def make():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.safetensors"
    save_file({name: tensor + 1 for name, tensor in make().state_dict().items()}, path)
    return path


def refused(model, path):
    """The message of the refusal, and that nothing of the model has changed."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(StitchError) as error:
        load_weights(model, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_loads_every_tensor(good):
    model, wanted = make(), read_tensors(good)
    load_weights(model, good)
    assert model.state_dict().keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in model.state_dict().items())


def test_older_files_without_the_counter_of_batches(good):
    tensors = read_tensors(good)
    del tensors["1.num_batches_tracked"]
    save_file(tensors, good)
    model = make()
    load_weights(model, good)
    assert torch.equal(model[0].weight, tensors["0.weight"])
    assert model[1].num_batches_tracked == 0


def test_tied_parameters_are_stored_once(tmp_path):
    from safetensors.torch import save_model

    def tied():
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    model, other = tied(), tied()
    save_model(model, str(tmp_path / "tied.safetensors"))
    load_weights(other, tmp_path / "tied.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert other[1].weight is other[0].weight


def test_missing_file(tmp_path):
    assert "No weight file" in refused(make(), tmp_path / "none.safetensors")


def test_truncated_files(good):
    whole = good.read_bytes()
    for length in (0, 5, 40, len(whole) // 2, len(whole) - 1):
        good.write_bytes(whole[:length])
        assert "is not a whole safetensors file" in refused(make(), good)


def test_pickles_are_not_read_whatever_they_are_called(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    for suffix in (".pt", ".pth", ".bin", ".pkl", ".ckpt", ".safetensors"):
        path = tmp_path / f"weights{suffix}"
        torch.save({"0.weight": Trap()}, path)
        message = refused(make(), path)
        reason = "is not a whole safetensors file" if suffix == ".safetensors" else "may hold a pickle"
        assert reason in message


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({"0.bias": None}, "1 tensors are missing (0.bias, …) and 0 are unknown"),
        ({"head": torch.zeros(2)}, "0 tensors are missing and 1 are unknown (head, …)"),
        ({"0.weight": torch.zeros(3, 4)}, "0.weight has shape (3, 4), the model's is (4, 3)"),
        ({"1.running_var": torch.zeros(5)}, "1.running_var has shape (5,), the model's is (4,)"),
    ],
)
def test_weights_of_another_architecture(good, added, message):
    tensors = {**read_tensors(good), **added}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, good)
    assert message in refused(make(), good)
