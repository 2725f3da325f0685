"""How an anchor's architecture is built again: what a saved folder holds instead of a pickle."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from stitchable.anchors.hf_source import HfSource
from stitchable.anchors.torchvision_source import TorchvisionSource
from stitchable.errors import StitchError, nearest

if TYPE_CHECKING:
    from stitchable.anchors.anchor import Anchor


@dataclass(frozen=True)
class TimmSource:
    """A model that ``timm.create_model`` builds.

    Attributes:
        model: timm's name, with or without a tag.
        arguments: Keyword arguments that change the architecture, plain data only.
    """

    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self, *, pretrained: bool = False) -> nn.Module:
        """Build it; random weights unless ``pretrained``, which may use the network.

        Raises:
            StitchError: timm has no such model (the nearest names are offered) or refuses an argument.
        """
        import timm

        if not timm.is_model(self.model.partition(".")[0]):
            raise StitchError(
                f"Unknown model {self.model!r}. {nearest(self.model, timm.list_models())} Give a timm name, "
                "a folder saved by save_pretrained, or path/to/file.py:function."
            )
        try:
            model: nn.Module = timm.create_model(self.model, pretrained=pretrained, **self.arguments)
        except (RuntimeError, TypeError, ValueError, AssertionError, OSError) as error:
            raise StitchError(f"timm cannot build {self.model} {dict(self.arguments)}: {error}") from error
        return model

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``config.json``."""
        return {"kind": "timm", "model": self.model, "arguments": dict(self.arguments)}


@dataclass(frozen=True)
class CodeSource:
    """A function of the user's own file that takes nothing and returns an `Anchor`.

    Attributes:
        text: The file's whole text; a saved folder carries it.
        file: The file's name, for messages.
        function: The function's name.
    """

    text: str
    file: str
    function: str

    @classmethod
    def read(cls, path: Path, function: str) -> CodeSource:
        """Read the file that the user named.

        Raises:
            StitchError: There is no such file.
        """
        if not path.is_file():
            raise StitchError(f"No file {path}. Name an anchor of your own as path/to/file.py:function.")
        return cls(path.read_text(encoding="utf-8"), path.name, function)

    def build(self) -> Anchor:
        """Run the file and call the function.

        Raises:
            StitchError: The file does not run, has no such function, or the function returns something
                else than an anchor.
        """
        from stitchable.anchors.anchor import Anchor

        # The module is named after its text, so equal files share one class and unequal ones never clash.
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:16]
        name = f"stitchable_code_{digest}"
        module = sys.modules.get(name)
        if module is None:
            spec = importlib.util.spec_from_loader(name, loader=None, origin=self.file)
            assert spec is not None
            module = importlib.util.module_from_spec(spec)
            try:
                exec(compile(self.text, self.file, "exec"), module.__dict__)
            except Exception as error:
                raise StitchError(f"{self.file} does not run: {type(error).__name__}: {error}") from error
            sys.modules[name] = module
        function = getattr(module, self.function, None)
        if not callable(function):
            public = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
            raise StitchError(
                f"{self.file} has no function {self.function!r}. {nearest(self.function, public)}"
            )
        anchor = function()
        if not isinstance(anchor, Anchor):
            raise StitchError(
                f"{self.file}:{self.function} returned {type(anchor).__name__}; it must return an Anchor."
            )
        anchor.source = self
        return anchor

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``config.json``; the text is stored in a file beside it."""
        return {"kind": "code", "file": self.file, "function": self.function}


Source = TimmSource | TorchvisionSource | HfSource | CodeSource
