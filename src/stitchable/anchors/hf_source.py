"""Image classifiers of Hugging Face's transformers: their configuration as plain data."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from stitchable.errors import StitchError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class HfSource:
    """A model that ``transformers.AutoModelForImageClassification`` builds from its configuration.

    Attributes:
        config: The whole configuration as plain data, so that nothing else is needed to build it again.
    """

    config: Mapping[str, Any]

    @classmethod
    def of(cls, model: nn.Module) -> HfSource:
        """Source of a live model of transformers."""
        return cls(_plain(model.config))

    @classmethod
    def read(cls, place: str) -> HfSource:
        """Configuration of a folder that ``save_pretrained`` wrote, or of a model on the hub.

        Args:
            place: The folder, or a hub id, which may use the network.

        Raises:
            StitchError: There is no such model, or transformers is not installed.
        """
        with _explained(place):
            return cls(_plain(_transformers().AutoConfig.from_pretrained(place, **_where(place))))

    def build(self, *, pretrained: str | None = None) -> nn.Module:
        """Build it with random weights, or with those of a folder or hub id; always in float32.

        Args:
            pretrained: Where the weights are read from: safetensors only, never a pickle.

        Raises:
            StitchError: transformers is not installed or cannot build this.
        """
        auto = _transformers().AutoModelForImageClassification
        model: nn.Module
        with _explained(pretrained or str(self.config.get("model_type"))):
            config = _transformers().AutoConfig.for_model(**self.config)
            if pretrained is None:
                model = auto.from_config(config, dtype=torch.float32)
            else:
                model, report = auto.from_pretrained(
                    pretrained,
                    config=config,
                    dtype=torch.float32,
                    use_safetensors=True,
                    output_loading_info=True,
                    **_where(pretrained),
                )
                missing = sorted(report["missing_keys"])
                if missing:  # transformers would leave them random, a backbone's classifier for example
                    raise ValueError(f"its weights lack {len(missing)} tensors ({missing[0]}, …)")
        return model

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names in the order of the logits, unless they are placeholders like ``LABEL_0``."""
        labels = {int(key): str(name) for key, name in (self.config.get("id2label") or {}).items()}
        if not labels or all(name == f"LABEL_{key}" for key, name in labels.items()):
            return None
        return tuple(labels[key] for key in sorted(labels))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``config.json``."""
        return {"kind": "hf", "config": dict(self.config)}


def _plain(config: Any) -> dict[str, Any]:
    given: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    # Where it was read from and by which version is no part of the architecture.
    return {
        key: value for key, value in given.items() if key not in ("_name_or_path", "transformers_version")
    }


def _where(place: str) -> dict[str, Any]:
    return {"local_files_only": Path(place).is_dir(), "trust_remote_code": False}


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise StitchError(
            "Models of Hugging Face need the package transformers. Run: pip install 'stitchable[hf]'"
        ) from error
    return transformers


@contextmanager
def _explained(place: str) -> Iterator[None]:
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)  # a warning per attempt would bury the one line below
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        hint = (
            "Give a folder with config.json and model.safetensors."
            if Path(place).is_dir()
            else "It is no folder here, so it was taken for a hub id, which needs the network. Give a folder "
            "that save_pretrained wrote, or connect."
        )
        raise StitchError(f"hf:{place} cannot be loaded: {lines[0].rstrip('.')}. {hint}") from error
    finally:
        log.setLevel(level)
