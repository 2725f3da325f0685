"""What the processes of a training tell each other in a step: losses, gradients, wishes to stop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stitchable.ranks import Ranks
from stitchable.stitch import Stitch
from stitchable.training.local import in_pieces
from stitchable.training.objectives.losses import Losses

_BUCKET = 2**24  # numbers that travel at once: 64 MB of float32


@dataclass(frozen=True)
class StepResult:
    """What all processes together trained in a step.

    Attributes:
        loss: The mean over the images of all.
        losses: The stitches that were trained with their losses: those of each process, in the order of
            ranks, or once those that all train alike, with the means over the images of all.
        terms: For each term of the objective its mean over the images that it was asked for.
        images: Number of images of all.
        signal: Of a wish to stop that one of them has been told.
        due: Whether a checkpoint is due.
    """

    loss: float
    losses: Sequence[Mapping[Stitch, float]]
    terms: dict[str, float]
    images: int
    signal: int | None = None
    due: bool = False

    @property
    def trained(self) -> list[list[Stitch]]:
        """The stitches alone."""
        return [list(each) for each in self.losses]

    def by_stitch(self) -> dict[Stitch, float]:
        """For each stitch the mean of its losses; for samplers."""
        found: dict[Stitch, list[float]] = defaultdict(list)
        for losses in self.losses:
            for stitch, loss in losses.items():
                found[stitch].append(loss)
        return {stitch: sum(losses) / len(losses) for stitch, losses in found.items()}


@dataclass(frozen=True)
class _Report:
    """What one process says after its backward pass; plain data."""

    images: int
    loss: float
    losses: dict[Stitch, float]
    terms: dict[str, float]
    has_gradient: list[bool]
    signal: int | None
    due: bool


class Exchange:
    """Makes one step of the processes' shares of a batch.

    Their gradients are added up after the backward pass, each weighted by its images: what comes out is that
    of the whole batch, also where shares are unequal. A parameter that has a gradient in no process keeps
    none, and the optimiser leaves it alone, as in one process. What has one travels, and nothing else.

    Args:
        ranks: The processes; weights and options are the same in all.
        parameters: Those that the optimiser moves.
        shared: Whether all train the same stitches in every step.
        pieces: Whether some parameters are in pieces, whose gradients are added up in the backward pass; all
            are then weighted before it.
        statistics: A module whose BatchNorm statistics run; ``None`` where they are frozen.

    Attributes:
        result: Of the last meeting.
    """

    def __init__(
        self,
        ranks: Ranks,
        parameters: Iterable[nn.Parameter],
        *,
        shared: bool = True,
        pieces: bool = False,
        statistics: nn.Module | None = None,
    ) -> None:
        self.ranks, self.shared, self.pieces, self.weight = ranks, shared, pieces, 1.0
        self.parameters = [each for each in parameters if not in_pieces(each)]
        self._images, self.result = 0, StepResult(0.0, [], {}, 0)
        self._signal: int | None = None
        self._due = False
        self.statistics = None if statistics is None or ranks.count == 1 else RunningStatistics(statistics)

    def begin(self, images: int, *, signal: int | None = None, due: bool = False) -> None:
        """What this process is about to do.

        Args:
            images: How many there are in its share of the batch.
            signal: Of a wish to stop that it has been told.
            due: Whether it thinks that a checkpoint is due after this step; the first process decides.
        """
        self._images, self._signal, self._due = images, signal, due
        if self.statistics:
            self.statistics.remember()
        if self.pieces:
            self.weight = images / sum(self.ranks.gather(images))

    def meet(self, losses: Losses) -> None:
        """After the backward pass and before the update; gradients are those of the whole batch afterwards.

        Args:
            losses: Of this process's share.

        Raises:
            SharedError: A process has failed: its loss was not finite, an image did not read.
            LostError: A process has gone.
        """
        images, signal = self._images, self._signal
        own, terms = dict(losses.per_stitch), dict(losses.terms)
        if self.ranks.count == 1:
            self.result = StepResult(losses.value, [own], terms, images, signal, self._due)
            return
        has_gradient = [each.grad is not None for each in self.parameters]
        reports = self.ranks.gather(
            _Report(images, losses.value, own, terms, has_gradient, signal, self._due)
        )
        total = sum(each.images for each in reports)
        wanted = [any(each) for each in zip(*(report.has_gradient for report in reports), strict=True)]
        self._add_gradients(wanted, 1.0 if self.pieces else images / total)
        if self.statistics:
            self.statistics.share(self.ranks)
        names = dict.fromkeys(name for each in reports for name in each.terms)
        self.result = StepResult(
            _mean([(each.images, each.loss) for each in reports]),
            _merged(reports) if self.shared else [each.losses for each in reports],
            {
                name: _mean([(each.images, each.terms[name]) for each in reports if name in each.terms])
                for name in names
            },
            total,
            next((each.signal for each in reports if each.signal is not None), None),
            reports[0].due,
        )

    def _add_gradients(self, wanted: Sequence[bool], share: float) -> None:
        chosen = [each for each, is_wanted in zip(self.parameters, wanted, strict=True) if is_wanted]
        for parameter in chosen:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([each.grad for each in chosen if each.grad is not None]):
            flat = torch.cat([each.reshape(-1) for each in bucket]).mul_(share)
            self.ranks.add(flat, met=True)
            for gradient, summed in zip(
                bucket, torch.split(flat, [each.numel() for each in bucket]), strict=True
            ):
                gradient.copy_(summed.view(gradient.shape))


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type, in order, as many at a time as make a good load."""
    by_type: dict[torch.dtype, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        by_type[tensor.dtype].append(tensor)
    for same in by_type.values():
        bucket: list[Tensor] = []
        for tensor in same:
            bucket.append(tensor)
            if sum(each.numel() for each in bucket) >= _BUCKET:
                yield bucket
                bucket = []
        if bucket:
            yield bucket


def _merged(reports: Sequence[_Report]) -> list[dict[Stitch, float]]:
    means = {
        stitch: _mean([(each.images, each.losses[stitch]) for each in reports])
        for stitch in reports[0].losses
    }
    return [means]


def _mean(weighed: Sequence[tuple[int, float]]) -> float:
    return sum(weight * value for weight, value in weighed) / sum(weight for weight, _ in weighed)


class RunningStatistics:
    """BatchNorm's running statistics, kept equal in all processes.

    Each process normalises its share of the images by that share's own statistics, and takes these into the
    running ones. After a step these become the mean over the processes that ran the layer.

    Args:
        module: Its BatchNorm layers; the same in all processes.
    """

    def __init__(self, module: nn.Module) -> None:
        self.layers = [
            each
            for each in module.modules()
            if isinstance(each, nn.modules.batchnorm._BatchNorm) and each.num_batches_tracked is not None
        ]
        self._before: list[list[Tensor]] = []

    def remember(self) -> None:
        """What they are before the first step; it is the same in all processes."""
        if not self._before:
            self._before = [[each.clone() for each in self._own(layer)] for layer in self.layers]

    @staticmethod
    def _own(layer: nn.modules.batchnorm._BatchNorm) -> list[Tensor]:
        own = (layer.running_mean, layer.running_var, layer.num_batches_tracked)
        return [each for each in own if each is not None]

    @torch.no_grad()
    def share(self, ranks: Ranks) -> None:
        """Make them equal after a step."""
        if not self.layers:
            return
        moved = []
        for layer, before in zip(self.layers, self._before, strict=True):
            changes = [
                (now - then).reshape(-1).double() for now, then in zip(self._own(layer), before, strict=True)
            ]
            moved.append(torch.cat([*changes, (changes[-1] > 0).double()]))
        flat = torch.cat(moved)
        ranks.add(flat, met=True)
        for layer, before, change in zip(
            self.layers, self._before, torch.split(flat, [len(each) for each in moved]), strict=True
        ):
            own, ran = self._own(layer), change[-1].clamp_min(1)
            means = torch.split(change[:-1] / ran, [each.numel() for each in own])
            for now, then, each in zip(own, before, means, strict=True):
                each = each.round() if not now.is_floating_point() else each
                now.copy_(then + each.view(now.shape).to(now.dtype))
                then.copy_(now)
