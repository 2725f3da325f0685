"""Families of torchvision, one file each."""

from stitchable.anchors.torchvision_families import (
    convnext,
    efficientnet,
    mobilenetv2,
    mobilenetv3,
    regnet,
    resnet,
    swin,
    vit,
)

FAMILIES = (
    vit.FAMILY,
    resnet.FAMILY,
    regnet.FAMILY,
    swin.FAMILY,
    convnext.FAMILY,
    efficientnet.FAMILY,
    mobilenetv2.FAMILY,
    mobilenetv3.FAMILY,
)
