"""What flows through a cut: the description of a feature tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["tokens", "map"]

Cut = tuple[str, int]
"""An anchor's name and the number of one of its cuts; cut ``i`` lies before block ``i``."""


@dataclass(frozen=True)
class FeatureSpec:
    """Shape and meaning of the tensor at one cut of an anchor.

    Attributes:
        kind: ``"tokens"`` for ``(batch, prefix_tokens + rows · columns, width)``, ``"map"`` for
            ``(batch, width, rows, columns)``, or ``(batch, rows, columns, width)`` if ``channels_last``.
        width: Number of channels.
        grid: Rows and columns of the spatial positions.
        prefix_tokens: Class, distillation and register tokens in front of the grid (tokens only).
        stage: Index of the stage whose blocks produced the feature; 0 behind the stem.
        channels_last: Whether a map's channels are its last axis, as in Swin.
    """

    kind: Kind
    width: int
    grid: tuple[int, int]
    prefix_tokens: int = 0
    stage: int = 0
    channels_last: bool = False

    @property
    def positions(self) -> int:
        """Number of rows that one image gives to least squares: all tokens, or all pixels."""
        return self.prefix_tokens + self.grid[0] * self.grid[1]

    def shape(self, batch: int) -> tuple[int, ...]:
        """Shape of the tensor for ``batch`` images.

        Example:
            >>> FeatureSpec("tokens", 192, (14, 14), prefix_tokens=1).shape(8)
            (8, 197, 192)
            >>> FeatureSpec("map", 64, (8, 8), stage=2).shape(8)
            (8, 64, 8, 8)
        """
        if self.kind == "tokens":
            return (batch, self.positions, self.width)
        if self.channels_last:
            return (batch, *self.grid, self.width)
        return (batch, self.width, *self.grid)

    def differences(self, other: FeatureSpec) -> tuple[str, ...]:
        """What an adapter must change, besides the width, to carry this feature to ``other``; in words.

        Example:
            >>> FeatureSpec("map", 64, (14, 14)).differences(FeatureSpec("tokens", 384, (7, 7), 1))
            ('map to tokens', 'grid 14×14 to 7×7', '0 prefix tokens to 1')
        """
        found = []
        if (self.kind, self.channels_last) != (other.kind, other.channels_last):
            found.append(f"{self._layout} to {other._layout}")
        if self.grid != other.grid:
            found.append(f"grid {self.grid[0]}×{self.grid[1]} to {other.grid[0]}×{other.grid[1]}")
        if self.prefix_tokens != other.prefix_tokens:
            found.append(f"{self.prefix_tokens} prefix tokens to {other.prefix_tokens}")
        return tuple(found)

    @property
    def _layout(self) -> str:
        return "channels-last map" if self.channels_last else self.kind
