"""What blocks draw themselves in training (dropout, stochastic depth), by (seed, step, rank)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from stitchable.space.draw import uniform_index


@contextmanager
def own_generators(device: torch.device) -> Iterator[None]:
    """Torch's global generators, of the CPU and of ``device``, are put back afterwards."""
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            yield
    else:
        with torch.random.fork_rng(devices=[device], device_type=device.type):
            yield


def seed_step(device: torch.device, *, seed: int, step: int, rank: int = 0) -> None:
    """Put the global generators where ``(seed, step, rank)`` says, so that a step draws the same at any time.

    No state of a generator then has to be saved for a training to go on.
    """
    drawn = uniform_index(2**63, "blocks", seed, step, *([f"rank {rank}"] if rank else []))
    torch.default_generator.manual_seed(drawn)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(drawn)
    elif device.type == "mps":
        torch.mps.manual_seed(drawn)
