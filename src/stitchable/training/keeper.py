"""When the state of a training is written, and what happens when it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stitchable.errors import Interrupted
from stitchable.ranks import ALONE, Ranks
from stitchable.training.checkpoint import Checkpoint, write_checkpoint
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.interrupt import Wish
from stitchable.training.state import TrainState

LEAST_SECONDS, SHARE = 60.0, 0.01
SLOW_DISK = 100e6  # bytes per second: what the first writing is expected to do at least


class Keeper:
    """Writes checkpoints of a training, and restores the one that it begins from.

    Args:
        folder: Where the checkpoints are.
        options: See `CheckpointOptions`.
        found: The checkpoint to begin from, if any.
        identity: Plain data that a checkpoint is to carry, to be compared before another training goes on.
        wish: Is looked at after each step.
        before: Called before each writing, so that a log is on the disk no later than the checkpoint.
        probe: Gives a loss of the network, called after each epoch.
        keep_best: Called when the probe's loss is the lowest so far, with that loss.
        clock: Seconds.
        ranks: The processes that train together; the first one writes.
        pieces: The tensors are in pieces: all of them write.
    """

    def __init__(
        self,
        folder: Path,
        options: CheckpointOptions,
        *,
        found: Checkpoint | None = None,
        identity: Mapping[str, Any] | None = None,
        wish: Wish | None = None,
        before: Callable[[], None] | None = None,
        probe: Callable[[], float] | None = None,
        keep_best: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        ranks: Ranks = ALONE,
        pieces: bool = False,
    ) -> None:
        self.folder, self.options, self.found = folder, options, found
        self._identity, self._wish = dict(identity or {}), wish or Wish()
        self._before, self._probe, self._keep_best, self._clock = before, probe, keep_best, clock
        self.ranks, self.pieces = ranks, pieces
        self._written = found.step if found else 0
        self._last, self._cost = clock(), 0.0

    @property
    def signal(self) -> int | None:
        """Number of the signal that has asked this process to stop, if one has."""
        return self._wish.signal

    def start(self, state: TrainState) -> None:
        """Put the state where the checkpoint that was found says."""
        if self.found is not None:
            state.restore(self.found)
            self.found = None  # its tensors are as large as the training's own
        held = sum(each.numel() * each.element_size() for each in state.network.parameters())
        self._cost = 3 * held / SLOW_DISK  # with two moments; measured from the first writing on
        self._last = self._clock()

    def after_step(self, state: TrainState, *, signal: int | None, due: bool | None = None) -> None:
        """Write a checkpoint if one is due.

        Args:
            state: As it is now.
            signal: Of a wish to stop on which all processes are agreed.
            due: What they are agreed on besides; ``None`` where one process decides and writes.

        Raises:
            Interrupted: There is such a wish; the checkpoint is written before.
        """
        if signal is not None:
            self.write(state)
            self.ranks.wait()  # once one process has ended, torchrun ends the one that writes
            raise Interrupted(self._farewell(state.step) if self.ranks.first else "", signal=signal)
        if self.due(state.step) if due is None else due:
            self.write(state)

    def after_epoch(self, state: TrainState) -> None:
        """Measure the network, and keep it if it is the best so far."""
        if self._probe is None:
            return
        with state.saved.in_place():
            loss = self._probe()
            if state.lowest_probe is None or loss < state.lowest_probe:
                state.lowest_probe = loss
                if self._keep_best and self.ranks.first:
                    self._keep_best(loss)

    def write(self, state: TrainState) -> None:
        """Write a checkpoint now, unless that of this very step is there."""
        if not self.options.keep or self._written == state.step or not (self.ranks.first or self.pieces):
            return
        began = self._clock()
        taken = state.checkpoint()
        if self._before:
            self._before()
        values = {**taken.values, "identity": self._identity}
        whole, keep = Checkpoint(taken.step, values, taken.tensors), self.options.keep
        if self.pieces:
            from stitchable.training.pieces import write_pieces

            write_pieces(self.folder, whole, keep=keep, ranks=self.ranks)
        else:
            write_checkpoint(self.folder, whole, keep=keep)
        self._written, self._last = state.step, self._clock()
        self._cost = self._last - began

    def _farewell(self, step: int) -> str:
        if not self.options.keep:
            return f"Interrupted after {step} steps; none is kept, since train.checkpoint.keep is 0."
        return (
            f"Interrupted after {step} steps, which are kept in {self.folder}. "
            "The same command again goes on from there."
        )

    def due(self, step: int) -> bool:
        """Whether it is time for a checkpoint after so many steps."""
        options = self.options
        if options.every_steps is not None:
            return step % options.every_steps == 0
        if options.every_minutes is not None:
            return self._clock() - self._last >= 60 * options.every_minutes
        return self._clock() - self._last >= max(LEAST_SECONDS, self._cost / SHARE)
