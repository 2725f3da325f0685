"""Scores of a network that nobody has trained: what its start says of it."""
