"""The processes that share one job, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from stitchable.errors import StitchError

_Value = TypeVar("_Value")
_WORDS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """This process among those of its job. Every method but `share` must be called by all of them.

    Attributes:
        rank: Number of this process, from 0.
        count: Number of processes.
        local: Number of this process on its machine: that of its GPU.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """Which of ``total`` things are this process's: every ``count``-th, from ``rank`` on."""
        return range(self.rank, total, self.count)

    def gather(self, value: _Value) -> list[_Value]:
        """What each process gave, in the order of ranks. Values are pickled: plain data, or CPU tensors."""
        if self.count == 1:
            return [value]
        found = [value] * self.count
        dist.all_gather_object(found, value)
        return found

    def in_turn(self, values: Iterable[_Value]) -> Iterator[_Value]:
        """One value of each process, in the order of ranks, then the next of each, until all have ended.

        Where each process works through its `share` of some things, all get the values of all things, in
        their order: what is summed up is the same to the last bit for any number of processes.

        Args:
            values: Made one at a time; see `gather` for what they may be.
        """
        if self.count == 1:
            yield from values
            return
        own = iter(values)
        while any(found := self.gather(list(islice(own, 1)))):
            for given in found:
                yield from given

    def from_first(self, value: _Value) -> _Value:
        """What the first process gave."""
        if self.count == 1:
            return value
        given = [value]
        dist.broadcast_object_list(given, src=0)
        return given[0]

    def add(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes, the same bits in each."""
        if self.count > 1:
            dist.all_reduce(tensor)

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.count > 1:
            dist.barrier()


ALONE = Ranks()


def ranks_named(environment: Mapping[str, str]) -> Ranks:
    """What ``torchrun`` says of this process; `ALONE` where it did not start it.

    Raises:
        StitchError: Some of its variables are there and some are not.
    """
    there = [word for word in _WORDS if word in environment]
    if "RANK" not in there and "WORLD_SIZE" not in there:
        return ALONE
    missing = [word for word in _WORDS if word not in there]
    if missing:
        raise StitchError(
            f"{', '.join(there)} are set and {', '.join(missing)} not. Start with torchrun, or unset them."
        )
    rank, count, local = (int(environment[word]) for word in _WORDS[:3])
    return Ranks(rank, count, local)


@contextmanager
def joined(*, timeout_seconds: float = 600.0) -> Iterator[Ranks]:
    """Meet the other processes of the job, over gloo for CPU tensors and NCCL for those on CUDA.

    Args:
        timeout_seconds: A process that waits longer than this for another one gives up with an error.

    Yields:
        `ALONE` in a process that ``torchrun`` did not start.

    Raises:
        StitchError: The environment is not whole.
    """
    ranks = ranks_named(os.environ)
    if ranks.count == 1:
        yield ranks
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(ranks.local)
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
    try:
        yield ranks
    finally:
        dist.destroy_process_group()
