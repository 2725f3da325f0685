"""A small vision transformer for CIFAR-10, described as an anchor.

It has no published weights; ``recipes/cifar10_vit.yaml`` trains some.

Its grid of 8×8 patches is that of the last stage of the CIFAR ResNets (examples/cifar_resnets.py), so the
two families can be stitched.
"""

from timm.models.vision_transformer import VisionTransformer

from stitchable import Anchor, InputSpec, anchor_from_module

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def vit() -> Anchor:
    """Four blocks, 96 wide, on 4×4 patches: 32 MMACs."""
    model = VisionTransformer(
        img_size=32, patch_size=4, embed_dim=96, depth=4, num_heads=3, num_classes=len(CLASSES)
    )
    images = InputSpec((3, 32, 32), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    return anchor_from_module(model, name="vit", input_spec=images, classes=CLASSES)
