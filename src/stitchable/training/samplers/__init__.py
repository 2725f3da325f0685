"""Samplers: which stitches a step trains, by (seed, step, rank) and what was observed alone."""
