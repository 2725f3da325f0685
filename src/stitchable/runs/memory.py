"""How many images a sweep may take at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.evaluation.trie import Trie
from stitchable.profiling.footprint import footprint
from stitchable.units import format_count, parse_bytes


def fitting_batch_size(trie: Trie, memory: str, *, largest: int, together: int = 0) -> int:
    """Largest size of a batch whose features stay within a bound, wherever the walk of the tree is.

    The features alive at the worst moment are counted, operation by operation, for one image and for two;
    they grow evenly with the batch.

    Args:
        trie: What is run, in eval mode.
        memory: The bound, see `stitchable.units.parse_bytes`.
        largest: No more images than these.
        together: See `Trie.run`, at the largest size; it shrinks with the batch.

    Raises:
        StitchError: Not even one image fits; the message says what does.
    """

    def peak(images: int) -> int:
        waiting = -(-together * images // largest)

        def run(x: Tensor) -> Tensor:
            for _ in trie.run(x, together=waiting):
                pass
            return x

        shape = (images, *trie.network.input_spec.size)
        return footprint(run, torch.zeros(shape, device=next(trie.network.parameters()).device))[0].peak_bytes

    one, two = peak(1), peak(2)
    bound, each = parse_bytes(memory), max(two - one, 1)
    if one > bound:
        raise StitchError(
            f"The features of one image take {format_count(one, 'B')}, more than sweep.memory {memory}. "
            "Give at least that."
        )
    return min(largest, 1 + (bound - one) // each)
