"""Families of timm, one file each."""

from stitchable.anchors.timm_families import regnet, resnet, vit

FAMILIES = (vit.FAMILY, resnet.FAMILY, regnet.FAMILY)
