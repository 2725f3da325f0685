"""Costs that add up: MACs and params of parts, and of the stitches made of them."""
