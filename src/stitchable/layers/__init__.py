"""Stitching layers: affine maps between the widths of two anchors."""
