"""Going on with a training: what must be as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from stitchable import __version__
from stitchable.anchors.store import WEIGHTS
from stitchable.data.image_source import ImageSource
from stitchable.errors import StitchError
from stitchable.nested import dotted
from stitchable.network import StitchedNetwork
from stitchable.ranks import Ranks
from stitchable.runs.config import DataConfig
from stitchable.runs.folder import RunFolder
from stitchable.training.checkpoint import Checkpoint, digest_file, newest_checkpoint
from stitchable.training.options import TrainOptions


@dataclass(frozen=True)
class Identity:
    """What decides the numbers that a training comes to.

    Attributes:
        exactly: What must be the same for a training to go on: the options, the seed, the images, the
            fitted network, what the options only name (`stitchable.runs.outside`), stitchable's version, and
            the number of processes where `ties_to_processes` finds a reason. When checkpoints are written,
            who reads images and what they are held in is not among it.
        rounding: What the last bits hang on besides; another value is worth a note.
    """

    exactly: Mapping[str, Any]
    rounding: Mapping[str, Any]

    def as_data(self) -> dict[str, Any]:
        """For a checkpoint, JSON-ready."""
        return {"exactly": dict(self.exactly), "rounding": dict(self.rounding)}


def identity_of(
    run: RunFolder,
    *,
    data: DataConfig,
    source: ImageSource,
    options: TrainOptions,
    seed: int,
    device: torch.device,
    processes: int = 1,
    ties: str = "",
    outside: Mapping[str, Any] | None = None,
) -> Identity:
    """Identity of a training that is about to begin.

    For ``ties`` see `ties_to_processes`, for ``outside`` `stitchable.runs.outside.named_outside`.
    """
    train = {key: value for key, value in asdict(options).items() if key != "checkpoint"}
    exactly = {
        "train": train,
        "seed": seed,
        "data.train": data.train,
        "labels": source.digest,
        "fitted": digest_file(run.fitted / WEIGHTS)[:12],
        "stitchable": __version__,
        **(outside or {}),
    }
    rounding = {"device": device.type, "threads": torch.get_num_threads(), "torch": str(torch.__version__)}
    if ties:
        exactly[f"the number of processes, each of which {ties},"] = processes
    else:
        rounding["processes"] = processes
    return Identity(_as_read(exactly), _as_read(rounding))


def ties_to_processes(network: StitchedNetwork, options: TrainOptions) -> str:
    """What each process does for itself, so that with another number of them other numbers come out.

    Returns:
        A verb phrase; empty where the number of processes changes no more than the last bits.
    """
    modules = list(network.modules())
    draws = any(isinstance(each, nn.modules.dropout._DropoutNd) and each.p > 0 for each in modules) or any(
        type(each).__name__.endswith(("DropPath", "StochasticDepth")) for each in modules
    )
    reasons = {
        "draws stitches (train.sampler.per_rank)": options.sampler.per_rank,
        "mixes images (mixup, cutmix)": options.objective.mixes,
        "normalises by its share (train.batch_norm running)": options.batch_norm == "running"
        and any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in network.modules()),
        "measures features by its share (feature_matching)": options.objective.feature_matching > 0,
        "draws in its blocks (dropout, stochastic depth)": draws,
    }
    return " and ".join(reason for reason, there in reasons.items() if there)


def check_same_checkpoint(found: Checkpoint | None, ranks: Ranks) -> None:
    """Make sure that all processes go on from the same step.

    Raises:
        StitchError: They do not.
    """
    steps = ranks.gather(found.step if found else 0)
    if len(set(steps)) > 1:
        raise StitchError(
            f"The processes find checkpoints of different steps ({', '.join(map(str, steps))}). Keep the run "
            "in a folder that all of them see."
        )


def checkpoint_to_go_on_from(run: RunFolder, identity: Identity) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a run, and what is worth saying about it, a line each.

    Returns:
        ``None`` where the run has no checkpoint.

    Raises:
        StitchError: Going on would not be exact: each value that differs is named as it was and as it is.
            Or no checkpoint is whole.
    """
    found, notes = newest_checkpoint(run.checkpoints)
    if found is None:
        return None, notes
    was = found.values["identity"]
    changed = list(_changes(was["exactly"], identity.exactly))
    if changed:
        raise StitchError(
            f"{run.path} has an unfinished training of {found.step} steps that would not go on as it began: "
            f"{'; '.join(changed)}. Give the former values, or begin anew with --resume never."
        )
    notes.append(f"going on after step {found.step}, from {run.checkpoints}")
    changed = list(_changes(was["rounding"], identity.rounding))
    if changed:
        notes.append(f"the last bits may differ from those of one go: {'; '.join(changed)}")
    return found, notes


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    before, after = dict(dotted(was)), dict(dotted(now))
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield f"{key} was {before.get(key)}, now {after.get(key)}"


def _as_read(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives it back, tuples as lists."""
    read: dict[str, Any] = json.loads(json.dumps(values))
    return read
