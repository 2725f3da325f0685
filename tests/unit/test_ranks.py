"""Processes of one job: real ones, over gloo."""

import pytest
import torch

from stitchable.errors import StitchError
from stitchable.ranks import ALONE, Ranks, joined, ranks_named, reason_of

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


def test_a_process_that_was_not_started_by_torchrun_is_alone():
    assert ranks_named({}) is ALONE
    assert ALONE.first
    assert ALONE.gather("x") == ["x"]
    assert ALONE.from_first("x") == "x"
    ALONE.wait()


def test_torchrun_says_who_this_is():
    ranks = ranks_named(TORCHRUN)
    assert ranks == Ranks(1, 3, 1)
    assert not ranks.first


def test_an_environment_that_is_not_whole_is_refused():
    with pytest.raises(StitchError, match=r"RANK are set and WORLD_SIZE, .*Start with torchrun"):
        ranks_named({"RANK": "0"})


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shares_are_a_partition(count):
    shares = [Ranks(rank, count).share(11) for rank in range(count)]
    assert sorted(index for share in shares for index in share) == list(range(11))


def _speak(ranks, folder):
    total = torch.tensor([10.0**ranks.rank, ranks.rank / 3], dtype=torch.float64)
    ranks.add(total)
    found = {
        "names": ranks.gather(f"rank {ranks.rank}"),
        "nothing": ranks.gather(None),
        "first": ranks.from_first(ranks.rank + 7),
        "total": total,
    }
    ranks.wait()
    torch.save(found, folder / f"{ranks.rank}.pt")


def test_three_processes_hear_each_other(tmp_path, in_processes):
    in_processes(3, _speak, tmp_path)
    said = [torch.load(tmp_path / f"{rank}.pt") for rank in range(3)]
    for each in said:
        assert each["names"] == ["rank 0", "rank 1", "rank 2"]
        assert each["nothing"] == [None] * 3
        assert each["first"] == 7
        assert each["total"].tolist() == [111.0, 1.0]


def test_a_reason_is_short():
    told = "[/src/gloo/transport/tcp/pair.cc:545] Read error [127.0.0.1]:1: Connection reset by peer. This is"
    assert reason_of(RuntimeError(told)) == "Read error [127.0.0.1]:1: Connection reset by peer"
    assert reason_of(RuntimeError("")) == "RuntimeError"


def test_a_mistake_inside_joined_stays_as_it_is_where_a_process_is_alone(monkeypatch):
    for word in TORCHRUN:
        monkeypatch.delenv(word, raising=False)
    with joined() as ranks:
        assert ranks is ALONE
    with pytest.raises(OSError, match="full"), joined():
        raise OSError("full")


def test_devices_of_processes():
    assert Ranks(1, 2, 1).device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        assert Ranks(1, 2, 1).device("auto") == torch.device("cpu")
    with pytest.raises(StitchError, match="No device 'what'"):
        Ranks(1, 2, 1).device("what")
