"""Everything that decides the rest of a training, put into a checkpoint and taken out again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.training.average import Average
from stitchable.training.checkpoint import Checkpoint
from stitchable.training.local import local
from stitchable.training.saved_weights import SavedWeights


class Remembering(Protocol):
    """A sampler, or anything else, whose answers depend on what it was told; plain data, JSON-ready."""

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Remember that instead."""


@dataclass
class TrainState:
    """A training between two steps.

    The order of images, their augmentation, the stitches and what blocks draw are functions of seed, epoch
    and step, so no generator's state is among this.

    Attributes:
        network: Its parameters and saved buffers, BatchNorm statistics included.
        optimizer: Its moments, and the learning rates of now.
        schedule: How far it is.
        saved: What would be saved of the network now.
        memory: The sampler, the guard, by name.
        scaler: Of float16.
        average: Of the weights, where one is kept.
        step: Steps taken.
        epoch: The epoch that is going on.
        batch: Batches of it that were trained on.
        counts: How many steps each stitch was trained.
        macs_run: Forward MACs per image so far, see `TrainSummary`.
        macs_alone: Likewise.
        lowest_probe: Lowest loss that the probe of an epoch gave.
    """

    network: StitchedNetwork
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    saved: SavedWeights
    memory: dict[str, Remembering] = field(default_factory=dict)
    scaler: torch.amp.GradScaler | None = None
    average: Average | None = None
    step: int = 0
    epoch: int = 0
    batch: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    macs_run: int = 0
    macs_alone: int = 0
    lowest_probe: float | None = None
    _began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Wall time of the training, that of earlier processes included."""
        return time.monotonic() - self._began

    def check_finite(self) -> None:
        """Make sure that this state is worth keeping.

        Raises:
            StitchError: A weight is not finite.
        """
        for name, parameter in self.network.named_parameters():
            if not torch.isfinite(local(parameter)).all():
                raise StitchError(
                    f"After {self.step} steps {name} is not finite. Lower train.lr, or set train.clip_norm."
                )

    def checkpoint(self) -> Checkpoint:
        """All of it; the tensors are the live ones.

        Raises:
            StitchError: A weight is not finite.
        """
        self.check_finite()
        values = {
            "epoch": self.epoch,
            "batch": self.batch,
            "seconds": self.seconds,
            "counts": dict(self.counts),
            "macs": [self.macs_run, self.macs_alone],
            "lowest_probe": self.lowest_probe,
            "schedule": {**self.schedule.state_dict(), "lr_lambdas": []},
            "groups": self.optimizer.state_dict()["param_groups"],
            "memory": {name: each.state_dict() for name, each in self.memory.items()},
            "scaler": self.scaler.state_dict() if self.scaler else {},
        }
        return Checkpoint(self.step, values, dict(self._tensors()))

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield from ((f"network.{name}", tensor) for name, tensor in self._own().items())
        for index, entries in self.optimizer.state_dict()["state"].items():
            for name, tensor in entries.items():
                if tensor is not None:  # SGD names a momentum that it does not have yet
                    yield f"optimizer.{index}.{name}", tensor
        if self.average:
            yield from ((f"average.{name}", tensor) for name, tensor in self.average.tensors.items())

    def _own(self) -> dict[str, Tensor]:
        """Parameters, each under one of its names, and the buffers that are saved."""
        saved = self.network.state_dict().keys()
        buffers = {name: each for name, each in self.network.named_buffers() if name in saved}
        return {**dict(self.network.named_parameters()), **buffers}

    def _pieces(self, found: Checkpoint) -> dict[str, Tensor]:
        """What a checkpoint in pieces holds for this process."""
        from stitchable.training.pieces import read_pieces

        assert found.pieces is not None
        parameters = [each for group in self.optimizer.param_groups for each in group["params"]]
        average = self.average.tensors if self.average else {}
        like = {f"network.{name}": each for name, each in self._own().items()}
        like |= {f"average.{name}": each for name, each in average.items()}
        for name, shape in found.shapes.items():
            part, _, rest = name.partition(".")
            if part == "optimizer":
                parameter = parameters[int(rest.partition(".")[0])]
                alike = list(parameter.shape) == shape
                like[name] = torch.zeros_like(parameter) if alike else torch.zeros(shape)
        return read_pieces(found.pieces, {name: each.detach() for name, each in like.items()})

    @torch.no_grad()
    def restore(self, found: Checkpoint) -> None:
        """Be what a checkpoint was.

        Args:
            found: Of a training of the same network with the same options.
        """
        values, tensors = found.values, self._pieces(found) if found.pieces else found.tensors
        for name, tensor in self._own().items():
            tensor.copy_(tensors[f"network.{name}"])
        parameters = [each for group in self.optimizer.param_groups for each in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, _, rest = key.partition(".")
            if part == "optimizer":
                index, _, name = rest.partition(".")
                state.setdefault(int(index), {})[name] = _laid_out_like(parameters[int(index)], tensor)
        self.optimizer.load_state_dict({"state": state, "param_groups": values["groups"]})
        lambdas = self.schedule.state_dict().get("lr_lambdas", [])
        self.schedule.load_state_dict({**values["schedule"], "lr_lambdas": lambdas})
        for name, each in self.memory.items():
            each.load_state_dict(values["memory"][name])
        if self.scaler:
            self.scaler.load_state_dict(values["scaler"])
        if self.average:
            prefix = "average."
            self.average.load(
                {key.removeprefix(prefix): each for key, each in tensors.items() if key.startswith(prefix)}
            )
        self.step, self.epoch, self.batch = found.step, values["epoch"], values["batch"]
        self.counts = Counter(values["counts"])
        self.macs_run, self.macs_alone = values["macs"]
        self.lowest_probe = values["lowest_probe"]
        self._began = time.monotonic() - values["seconds"]


def _laid_out_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A moment as the optimiser laid it out: as its parameter, channels last included."""
    if tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
