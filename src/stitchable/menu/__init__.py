"""The choice from a curve: a stitch for a budget, and few that stand for all."""
