"""Families of Hugging Face's transformers; none of their files imports it, since it is slow and optional."""

from stitchable.anchors.hf_families import convnext, plain, swin

FAMILIES = (plain.VIT, plain.DINOV2, swin.FAMILY, convnext.FAMILY)
