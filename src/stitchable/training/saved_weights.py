"""The weights that a training would leave if it ended now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from stitchable.network import StitchedNetwork
from stitchable.training.average import Average
from stitchable.training.local import local


class SavedWeights:
    """Averaged over the steps, with the anchors moved back towards those they were.

    Whoever judges a training while it runs, the anchors' guard and the probe of an epoch, judges these.

    Fine-tuned models keep more of what they could before, at little loss of what they learnt, where the
    weights of both are averaged; BatchNorm statistics are averaged as weights are.

    Args:
        network: Its anchors are as they were before training; stitching layers, and what joints own, stay
            as they are trained.
        average: Of the weights over the steps, where one is kept.
        share: Of the way from the anchors before to those of now, in (0, 1]. What does not change in
            training stays what it is, bit for bit.

    Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", section 3.
    """

    def __init__(
        self, network: StitchedNetwork, *, average: Average | None = None, share: float = 1.0
    ) -> None:
        self._average, self._share = average, share
        self._before: dict[Tensor, Tensor] = {}  # a tensor with two names is moved once
        for anchor in network.anchors.values() if share < 1 else ():
            held = anchor.state_dict(keep_vars=True).values()
            self._before |= {each: local(each).clone() for each in held if each.is_floating_point()}

    @torch.no_grad()
    def give(self) -> None:
        """Make them the network's weights, for good."""
        if self._average:
            self._average.give()
        for tensor, before in self._before.items():
            now = local(tensor)
            now.copy_(torch.lerp(before, now, self._share))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Make them the network's weights, for a while."""
        averaged = self._average.parameters if self._average else ()
        trained = [(local(each), local(each).clone()) for each in {*self._before, *averaged}]
        self.give()
        try:
            yield
        finally:
            for now, then in trained:
                now.copy_(then)
