"""Showing a curve: the figure, the page that stands alone, and the picture of one stitch's path."""
