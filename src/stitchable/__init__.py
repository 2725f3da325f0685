"""Stitchable neural networks: from a family of pretrained models to a menu of deployable ones."""
