"""Checkpoints of a training whose blocks are in pieces: every process writes and reads its own.

torch.distributed.checkpoint puts the pieces of each process into a safetensors file, and reads them back for
any number of processes. Around it are the rules of `stitchable.training.checkpoint`: written under another
name, with the digest of every file, synced and renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from stitchable.ranks import Ranks
from stitchable.training.checkpoint import (
    Checkpoint,
    begin_checkpoint,
    digest_file,
    finish_checkpoint,
    sync,
)


def write_pieces(folder: Path, checkpoint: Checkpoint, *, keep: int, ranks: Ranks) -> None:
    """Write a checkpoint together, and remove all but the last ``keep``.

    Args:
        folder: Of the checkpoints; all processes see it.
        checkpoint: Its tensors are this process's; ``values`` are the same in all.
        keep: How many to keep, this one included.
        ranks: All processes of the job.
    """
    partial = ranks.from_first(begin_checkpoint(folder, checkpoint.step) if ranks.first else None)
    assert partial is not None
    tensors = {name: tensor.detach() for name, tensor in checkpoint.tensors.items()}
    writer = HuggingFaceStorageWriter(path=str(partial), save_distributed=True)
    save(tensors, storage_writer=writer)
    own = {path.name: digest_file(path) for path in sorted(partial.glob(f"shard-{ranks.rank + 1:05d}-*"))}
    for name in own:
        sync(partial / name)
    digests: dict[str, str] = {}
    for each in ranks.gather(own):
        digests |= each
    if ranks.first:
        shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
        finish_checkpoint(partial, checkpoint, digests, keep=keep, shapes=shapes)
    ranks.wait()


def read_pieces(place: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read a checkpoint, every process its pieces.

    Args:
        place: The checkpoint's folder.
        like: For each name a tensor of the shape, type and pieces that are wanted; overwritten.
    """
    tensors = dict(like)
    load(tensors, storage_reader=HuggingFaceStorageReader(path=str(place)))
    return tensors
