"""The anchors' guard: what joint training does to them, measured while it runs and kept within a limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.space.draw import uniform_index
from stitchable.stitch import Stitch
from stitchable.training.anchor_drop import AnchorDropError, GuardRecord, HeldOut, count_right
from stitchable.training.guard_options import GuardOptions

HIGHEST = 4  # how often the pressure on an anchor may rise
MOST = 0.5  # share of the steps that all anchors together may get
_PARTS = 2**53

AsSaved = Callable[[], AbstractContextManager[None]]


@dataclass
class _State:
    """All that the guard remembers; plain data."""

    images: int = 0
    originals: dict[str, int] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)


class AnchorGuard:
    """Measures the anchors of a network while it is trained, and steers or stops where one falls.

    What it does at a step depends on (seed, step) and on its state, nothing else.

    Args:
        images: Gives the same normalised images ``(batch, channels, rows, columns)`` and labels ``(batch,)``
            at every call; of several processes, this one's share of them.
        options: See `GuardOptions`.
        seed: Of the steps that anchors get.
        on_record: Called for every anchor at every measurement.
        ranks: The processes that measure together, and come to the same.

    Attributes:
        records: Those of the last measurement, by anchor.
    """

    def __init__(
        self,
        images: HeldOut,
        options: GuardOptions,
        *,
        seed: int = 0,
        on_record: Callable[[GuardRecord], None] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.images, self.options, self.seed, self.on_record = images, options, seed, on_record
        self.ranks = ranks
        self.records: dict[str, GuardRecord] = {}
        self._state = _State()
        self._as_saved: AsSaved = nullcontext
        self._kept: dict[str, Tensor] = {}
        self._kept_at = 0

    def begin(self, network: StitchedNetwork, *, steps: int = 0, as_saved: AsSaved = nullcontext) -> None:
        """Measure the originals, which the anchors are before the first step.

        Nothing is measured where `load_state_dict` brought the originals' numbers; the network as it comes is
        then the one that is kept.

        Args:
            network: Modes are restored.
            steps: Taken so far, by an earlier process.
            as_saved: Makes the network's weights, for a while, those that would be saved: they are what is
                measured and kept.

        Raises:
            StitchError: There are no images.
        """
        self._as_saved = as_saved
        if not self._state.originals:
            self._state.originals, self._state.images = count_right(network, self.images(), ranks=self.ranks)
            self._state.levels = dict.fromkeys(network.anchors, 0)
        with as_saved():
            self._keep(network, steps)

    def after_step(self, network: StitchedNetwork, steps: int) -> None:
        """Measure where it is time.

        Args:
            network: Modes are restored.
            steps: Taken so far.

        Raises:
            AnchorDropError: An anchor is above the limit and the options say to stop. The network then holds
                the weights of the last measurement within the limit.
        """
        if steps % self.options.every == 0:
            self.measure(network, steps)

    def measure(self, network: StitchedNetwork, steps: int) -> None:
        """Measure now, after so many steps. Raises as `after_step` does."""
        state, limit = self._state, self.options.limit
        with self._as_saved():
            right, _ = count_right(network, self.images(), ranks=self.ranks)
            drops = {name: 100 * (state.originals[name] - right[name]) / state.images for name in right}
            worst = max(drops, key=lambda name: drops[name])
            stops = limit is not None and self.options.stop and drops[worst] > limit
            if not stops:
                self._keep(network, steps)
        for name, drop in drops.items():
            if limit is not None and self.options.steers:
                rise = int(drop > limit) - int(drop <= limit / 2)
                state.levels[name] = min(max(state.levels[name] + rise, 0), HIGHEST)
            top1, original = (100 * each[name] / state.images for each in (right, state.originals))
            self.records[name] = GuardRecord(
                steps, name, top1, original, drop, state.levels[name], state.images
            )
            if self.on_record:
                self.on_record(self.records[name])
        if stops:
            network.load_state_dict(self._kept)
            raise AnchorDropError(
                f"Anchor {worst} lost {drops[worst]:.2f} points after {steps} steps; train.guard.limit is "
                f"{limit}. The network is that after {self._kept_at} steps. Lower train.lr, or let the "
                "guard steer with train.guard.stop false."
            )

    def choose(self, step: int, drawn: Sequence[Stitch], network: StitchedNetwork) -> tuple[Stitch, ...]:
        """The stitches of a step: those drawn, or an anchor that needs a step of its own."""
        shares = self.shares()
        if not shares:
            return tuple(drawn)
        left = uniform_index(_PARTS, "guard", self.seed, step) / _PARTS
        for name, share in shares.items():
            left -= share
            if left < 0:
                return (network.space.stitch(name),)
        return tuple(drawn)

    def shares(self) -> dict[str, float]:
        """Share of the steps that each anchor under pressure gets for itself."""
        levels = {name: level for name, level in self._state.levels.items() if level}
        wanted = {name: self.options.step_share * level for name, level in levels.items()}
        scale = min(1.0, MOST / max(sum(wanted.values()), MOST))
        return {name: share * scale for name, share in wanted.items() if share}

    def weight(self, stitch: Stitch) -> float:
        """Weight of the distillation from the original; 0 for all but anchors under pressure."""
        if len(stitch.segments) > 1:
            return 0.0
        return self.options.distillation * self._state.levels.get(stitch.anchors[0], 0)

    def state_dict(self) -> dict[str, Any]:
        """Plain data from which `load_state_dict` goes on; weights are not among them."""
        records = {name: asdict(record) for name, record in self.records.items()}
        return {**asdict(self._state), "records": records}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state of another guard."""
        self.records = {name: GuardRecord(**record) for name, record in state["records"].items()}
        originals, levels = (dict(state[key]) for key in ("originals", "levels"))
        self._state = _State(state["images"], originals, levels)

    def _keep(self, network: StitchedNetwork, steps: int) -> None:
        if self.options.stop:
            self._kept_at = steps
            held = network.state_dict()
            self._kept = {key: tensor.detach().cpu().clone() for key, tensor in held.items()}
