"""Measuring a space of stitches: sweep, intervals, fronts and choices."""
