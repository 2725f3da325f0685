"""The processes that share one job, as ``torchrun`` starts them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from stitchable.device import choose_device
from stitchable.errors import SharedError, StitchError

PATIENCE = 1800.0  # seconds; what one process does alone, such as writing a checkpoint, must take less

_Value = TypeVar("_Value")
_WORDS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """This process among those of its job. All of them must call every method but `share` and `device`.

    A process that ends while others wait for it ends them too: with the mistake that it told on leaving
    `joined`, or with `LostError`.

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

    def device(self, name: str) -> torch.device:
        """Where this process computes: the device called ``name``, see `choose_device`.

        ``auto`` and ``cuda`` take the GPU with the process's number on its machine; ``auto`` takes the CPU
        where there is none.

        Raises:
            StitchError: As `choose_device`, or more processes run on a machine than it has GPUs.
        """
        if self.count > 1 and name == "auto" and not torch.cuda.is_available():
            name = "cpu"
        chosen = choose_device(name)
        if self.count > 1 and chosen.type not in ("cpu", "cuda"):
            raise StitchError(f"Several processes cannot meet on {name}. Give --device cpu, or start one.")
        if self.count > 1 and chosen.type == "cuda" and chosen.index is None:
            if self.local >= torch.cuda.device_count():
                raise StitchError(
                    f"Process {self.local} has no GPU of its own; there are {torch.cuda.device_count()}. "
                    "Start as many processes as there are GPUs, or give --device cpu."
                )
            chosen = torch.device("cuda", self.local)
        return chosen

    def gather(self, value: _Value) -> list[_Value]:
        """What each process gave, in the order of ranks. Values are pickled: plain data, or CPU tensors.

        Raises:
            SharedError: A process has left `joined` with a mistake.
            LostError: A process has gone.
        """
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        with _losing():
            dist.all_gather_object(found, value)
        failed = {rank: each.text for rank, each in enumerate(found) if isinstance(each, _Failure)}
        if failed:
            rank, text = next(iter(failed.items()))
            where = "" if len(failed) == self.count else f" (process {rank} of {self.count})"
            raise SharedError(f"{text}{where}", told=not self.first)
        return found

    def in_turn(self, values: Iterable[_Value]) -> Iterator[_Value]:
        """One value of each process, in the order of ranks, then the next of each, until all have ended.

        Where each process works through its `share` of some things, all get the values of all things, in
        their order: what is summed up is the same to the last bit for any number of processes.

        Args:
            values: Made one at a time; see `gather` for what they may be. Raises as `gather`.
        """
        if self.count == 1:
            yield from values
            return
        own = iter(values)
        while any(found := self.gather(list(islice(own, 1)))):
            for given in found:
                yield from given

    def from_first(self, value: _Value) -> _Value:
        """What the first process gave. Raises as `gather`."""
        if self.count == 1:
            return value
        self.wait()
        given = [value]
        with _losing():
            dist.broadcast_object_list(given, src=0)
        return given[0]

    def add(self, *tensors: Tensor, met: bool = False) -> None:
        """Replace tensors by their sums over all processes, the same bits in each. Raises as `gather`.

        Args:
            tensors: Of equal shape and type in all processes, and as many.
            met: All have come here straight from another meeting, so that none can have failed since.
        """
        if self.count == 1:
            return
        if not met:
            self.wait()
        with _losing():
            for tensor in tensors:
                dist.all_reduce(tensor)

    def wait(self) -> None:
        """Until all processes have come here. Raises as `gather`."""
        self.gather(None)


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


class LostError(StitchError):
    """Another process of the job has gone without a word."""


@dataclass(frozen=True)
class _Failure:
    """The last word of a process that has failed: its answer when the others meet next."""

    text: str


@contextmanager
def joined(*, timeout_seconds: float = PATIENCE) -> Iterator[Ranks]:
    """Meet the other processes of the job, over gloo for CPU tensors and NCCL for those on CUDA.

    A mistake (`StitchError`) of one process ends all of them, where they meet next. Inside another `joined`
    nothing is begun or ended.

    Args:
        timeout_seconds: A process that waits longer than this for another one gives up with an error. One
            that has ended is noticed at once.

    Yields:
        `ALONE` in a process that ``torchrun`` did not start.

    Raises:
        StitchError: The environment is not whole, or the processes do not meet.
    """
    ranks = ranks_named(os.environ)
    if ranks.count == 1 or dist.is_initialized():
        with _telling(ranks):
            yield ranks
        return
    cuda = torch.cuda.is_available()
    if cuda and ranks.local < torch.cuda.device_count():
        torch.cuda.set_device(ranks.local)
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
    except (RuntimeError, ValueError) as error:
        raise StitchError(
            f"The {ranks.count} processes did not meet ({reason_of(error)}). Start all of them with "
            "torchrun; where the machine's own name is not known, with --local-addr localhost."
        ) from error
    try:
        with _telling(ranks):
            yield ranks
    finally:
        dist.destroy_process_group()


@contextmanager
def _telling(ranks: Ranks) -> Iterator[None]:
    """Tell the others of a mistake that they do not know of."""
    try:
        yield
    except (SharedError, LostError):
        raise
    except (StitchError, OSError) as error:
        if ranks.count == 1:
            raise
        try:
            ranks.gather(_Failure(_one_line(error)))
        except LostError:
            raise error from None
        except SharedError as shared:
            raise shared from error


@contextmanager
def _losing() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what gloo and NCCL raise where the other end is gone, or too slow
        raise LostError(
            f"Another process of the job has gone, or is stuck ({reason_of(error)}). What it said last is "
            "the reason."
        ) from error


def reason_of(error: Exception) -> str:
    """The first sentence of an error of torch, without the place in its source."""
    lines = str(error).splitlines() or [type(error).__name__]
    return re.sub(r"^\[[^]]*\.cc:\d+\] ", "", lines[0]).partition(". ")[0].rstrip(".")[:160]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
