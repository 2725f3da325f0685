"""The colours of anchors, the same in figure, chart, table and path diagram.

Hues after Okabe and Ito (https://jfly.uni-koeln.de/color/), which readers with the common colour
deficiencies can tell apart; darkened until white digits on them pass a contrast of 4.5, and lightened for
dark backgrounds. Position, shape and labels carry the same information, so colour is never alone.
"""

from __future__ import annotations

LIGHT = ("#0072b2", "#bf4f00", "#007f5c", "#a84d88", "#8a5f00", "#4d4d4d")
DARK = ("#56b4e9", "#f39255", "#37c99f", "#e79fca", "#eec04a", "#c0c0c0")


def anchor_colour(position: int) -> str:
    """Colour of the anchor at ``position`` on a light ground, as ``#rrggbb``; after the last comes the first.

    Example:
        >>> anchor_colour(0) == anchor_colour(6) == LIGHT[0]
        True
    """
    return LIGHT[position % len(LIGHT)]


def anchor_variable(position: int) -> str:
    """The same colour as a CSS value that a page can override for dark grounds.

    Example:
        >>> anchor_variable(1)
        'var(--anchor-1,#bf4f00)'
    """
    return f"var(--anchor-{position % len(LIGHT)},{anchor_colour(position)})"
