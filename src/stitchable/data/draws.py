"""Random numbers for images that are a function of a few small numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# Streams of random numbers that must not resemble each other.
ORDER, DRAWS, PREPARE, WORKERS = range(4)


def seed_of(*key: int) -> int:
    """One 64-bit seed from several small numbers; keys that differ a little give seeds that differ a lot."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def generator_of(*key: int) -> torch.Generator:
    """A generator at `seed_of` these numbers."""
    return torch.Generator().manual_seed(seed_of(*key))


@contextmanager
def global_generator(seed: int) -> Iterator[None]:
    """Put the CPU generator from which torchvision draws at ``seed``, and back afterwards."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)
