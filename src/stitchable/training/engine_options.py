"""What to choose about how training computes. Plain data; no torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineOptions:
    """How the steps of joint training are computed.

    Attributes:
        ema: Decay of an average of the weights over the steps, such as 0.999; the network that is saved is
            then the average. ``None`` keeps none.
        compile: Compile the anchors' blocks with ``torch.compile``; names in saved files do not change.
        checkpoint_activations: Keep the blocks' inputs alone and compute the rest of their activations again
            in the backward pass: less memory, about a third more time, the same numbers.
        deterministic: Use deterministic algorithms alone, and fail where there is none.
        shard: With several processes, let each hold a piece of the blocks' weights, their gradients and what
            the optimiser keeps (FSDP2), for families whose training does not fit one device.
    """

    ema: float | None = None
    compile: bool = False
    checkpoint_activations: bool = False
    deterministic: bool = False
    shard: bool = False

    def _engine_rules(self) -> dict[str, tuple[bool, str]]:
        """As `StepOptions._rules`."""
        return {"ema": (self.ema is None or 0 < self.ema < 1, "between 0 and 1, or null")}
