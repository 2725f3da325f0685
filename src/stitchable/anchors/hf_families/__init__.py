"""Families of Hugging Face transformers, one file each; none of them imports it."""

from stitchable.anchors.registry import Family

FAMILIES: tuple[Family, ...] = ()
