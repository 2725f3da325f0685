"""Models that torchvision builds, and what it records about their images and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from stitchable.errors import StitchError, nearest
from stitchable.input_spec import InputSpec


@dataclass(frozen=True)
class TorchvisionSource:
    """A model that ``torchvision.models.get_model`` builds.

    Attributes:
        model: torchvision's name, such as ``"resnet18"``.
        arguments: Keyword arguments that change the architecture, plain data only.
    """

    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self, *, pretrained: bool = False) -> nn.Module:
        """Build it; random weights unless ``pretrained``, which may use the network.

        Raises:
            StitchError: torchvision has no such classifier (the nearest names are offered) or refuses an
                argument.
        """
        from torchvision import models

        known = models.list_models(module=models)
        if self.model not in known:
            raise StitchError(
                f"Unknown torchvision model {self.model!r}. {nearest(self.model, known)} "
                "Write it as torchvision:resnet18."
            )
        weights = "DEFAULT" if pretrained else None
        try:
            try:
                model: nn.Module = models.get_model(self.model, weights=weights, **self.arguments)
            except NotImplementedError:  # RegNets compute their widths with tensors, which meta ones cannot
                with torch.device("cpu"):
                    model = models.get_model(self.model, weights=weights, **self.arguments)
        except (RuntimeError, TypeError, ValueError, AssertionError, OSError) as error:
            raise StitchError(
                f"torchvision cannot build {self.model} {dict(self.arguments)}: {error}"
            ) from error
        return model

    def input_spec(self, model: nn.Module) -> InputSpec:
        """Images that the model's default weights were trained for; read without a download.

        Args:
            model: What `build` returned; a model of a fixed image size says it itself.
        """
        from torchvision.models import get_model_weights

        record = get_model_weights(self.model).DEFAULT.transforms()
        crop, resize = record.crop_size[0], record.resize_size[0]
        side = getattr(model, "image_size", crop)
        return InputSpec(
            (3, side, side),
            tuple(record.mean),
            tuple(record.std),
            interpolation=record.interpolation.value,
            crop_pct=crop / resize,
        )

    def classes(self) -> tuple[str, ...]:
        """Class names of the default weights, in the order of the logits."""
        from torchvision.models import get_model_weights

        return tuple(get_model_weights(self.model).DEFAULT.meta["categories"])

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``config.json``."""
        return {"kind": "torchvision", "model": self.model, "arguments": dict(self.arguments)}
