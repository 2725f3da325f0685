"""Anchors: pretrained models, described as stem, blocks and head without being edited."""
