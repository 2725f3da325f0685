"""Search for good stitches in spaces that are too large to measure."""
