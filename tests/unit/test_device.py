import pytest
import torch

from stitchable.device import choose_device, sums_device
from stitchable.errors import StitchError


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device() == choose_device("auto") == torch.device(chosen)


def test_a_name_is_taken_at_its_word():
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["warp", "", "cpu:one", "meta"])
def test_what_is_no_device_to_compute_on_is_refused(name):
    with pytest.raises(
        StitchError, match=rf"^No device '{name}' here \(.+\)\. Use 'auto', 'cpu', 'cuda' or 'mps'\.$"
    ):
        choose_device(name)


@pytest.mark.parametrize("error", [RuntimeError, AssertionError])
def test_a_device_that_the_machine_lacks_is_refused(monkeypatch, error):
    def absent(*_, **__):
        raise error("no such card\nand a long explanation")

    monkeypatch.setattr(torch, "empty", absent)
    with pytest.raises(StitchError, match=r"No device 'cuda:7' here \(no such card\)"):
        choose_device("cuda:7")


@pytest.mark.parametrize(("features", "sums"), [("cpu", "cpu"), ("cuda:1", "cuda:1"), ("mps", "cpu")])
def test_sums_are_kept_where_there_is_float64(features, sums):
    assert sums_device(torch.device(features)) == torch.device(sums)
