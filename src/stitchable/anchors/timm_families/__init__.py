"""Families of timm, one file each."""

from stitchable.anchors.timm_families import efficientnet, mobilenetv3, regnet, resnet, vit

FAMILIES = (vit.FAMILY, resnet.FAMILY, regnet.FAMILY, efficientnet.FAMILY, mobilenetv3.FAMILY)
