"""From what a user names to an anchor: names of a library, saved folders, files of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.hf_input import read_hf_input
from stitchable.anchors.hf_source import HfSource
from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.source import CodeSource, TimmSource
from stitchable.anchors.store import load_saved_anchor
from stitchable.anchors.torchvision_source import TorchvisionSource
from stitchable.anchors.weights import load_weights
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

_FORMS = "a timm name, torchvision:NAME, hf:FOLDER_OR_HUB_ID, a saved folder, or path/to/file.py:function"


def anchor_from_timm(
    model: str,
    *,
    name: str | None = None,
    weights: str | Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    input_spec: InputSpec | None = None,
    classes: Sequence[str] | None = None,
) -> Anchor:
    """Anchor of a timm model.

    Args:
        model: timm's name, such as ``"deit_tiny_patch16_224"``.
        name: Name in stitch ids; the model's name without its tag where left out.
        weights: A local ``.safetensors`` file with the model's state dict; ``"pretrained"`` for timm's
            own weights, which may use the network; ``None`` for random weights.
        arguments: Keyword arguments of ``timm.create_model`` that change the architecture.
        input_spec: Images it expects; timm's record where left out.
        classes: Class names in the order of the logits.

    Raises:
        StitchError: Unknown model, unreadable weights, or a family that is not supported.

    Example:
        >>> anchor = anchor_from_timm("vit_tiny_patch16_224", arguments={"depth": 2, "img_size": 32})
        >>> anchor.depth, anchor.features[0].shape(1)
        (2, (1, 5, 192))
    """
    source = TimmSource(model, dict(arguments or {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = source.build(pretrained=weights == "pretrained")
    anchor = anchor_from_module(
        module, name=name or _stitch_name(model), input_spec=input_spec, classes=classes, source=source
    )
    if weights not in (None, "pretrained"):
        load_weights(anchor.model, Path(str(weights)))
    return anchor.eval()


def anchor_from_torchvision(
    model: str,
    *,
    name: str | None = None,
    weights: str | Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    input_spec: InputSpec | None = None,
    classes: Sequence[str] | None = None,
) -> Anchor:
    """Anchor of a torchvision classifier.

    Args:
        model: torchvision's name, such as ``"mobilenet_v2"``.
        name: Name in stitch ids; the model's name where left out.
        weights: A local ``.safetensors`` file with the model's state dict; ``"pretrained"`` for
            torchvision's default weights, which may use the network; ``None`` for random weights.
        arguments: Keyword arguments of ``torchvision.models.get_model`` that change the architecture.
        input_spec: Images it expects; torchvision's record for the default weights where left out.
        classes: Class names in the order of the logits; ImageNet's with ``"pretrained"``.

    Raises:
        StitchError: Unknown model, unreadable weights, or a model that cannot be split.

    Example:
        >>> anchor = anchor_from_torchvision("mobilenet_v2", arguments={"width_mult": 0.25})
        >>> anchor.depth, anchor.features[0].shape(1)
        (17, (1, 8, 112, 112))
    """
    source = TorchvisionSource(model, dict(arguments or {}))
    pretrained = weights == "pretrained"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = source.build(pretrained=pretrained)
    anchor = anchor_from_module(
        module,
        name=name or model,
        input_spec=input_spec or source.input_spec(module),
        classes=classes or (source.classes() if pretrained else None),
        source=source,
    )
    if weights is not None and not pretrained:
        load_weights(anchor.model, Path(weights))
    return anchor.eval()


def anchor_from_hf(
    place: str,
    *,
    name: str | None = None,
    weights: str | Path | None = "pretrained",
    input_spec: InputSpec | None = None,
    classes: Sequence[str] | None = None,
) -> Anchor:
    """Anchor of an image classifier of Hugging Face's transformers.

    Args:
        place: A folder that ``save_pretrained`` wrote, or a hub id, which may use the network.
        name: Name in stitch ids; the last part of ``place`` where left out.
        weights: ``"pretrained"`` for the place's own safetensors; another local ``.safetensors`` file; or
            ``None`` for random weights. Pickles are never loaded.
        input_spec: Images it expects; by its ``preprocessor_config.json`` where left out, see
            `stitchable.anchors.hf_input.hf_input`.
        classes: Class names in the order of the logits; the configuration's where left out.

    Raises:
        StitchError: transformers is not installed, there is no such model, or it cannot be split.
    """
    source = HfSource.read(place)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = source.build(pretrained=place if weights == "pretrained" else None)
    anchor = anchor_from_module(
        module,
        name=name or _stitch_name(Path(place).resolve().name if Path(place).is_dir() else Path(place).name),
        input_spec=input_spec or read_hf_input(place, source.config),
        classes=classes or source.classes,
        source=source,
    )
    if weights not in (None, "pretrained"):
        load_weights(anchor.model, Path(str(weights)))
    return anchor.eval()


def anchor_from_file(
    path: Path, function: str, *, name: str | None = None, weights: str | Path | None = None
) -> Anchor:
    """Anchor that a function of the user's own file describes.

    Args:
        path: A Python file; it is executed.
        function: Takes nothing, returns an `Anchor`.
        name: Name in stitch ids; the function's choice where left out.
        weights: A local ``.safetensors`` file for the anchor's model.

    Raises:
        StitchError: See `CodeSource`; unreadable weights.
    """
    if weights == "pretrained":
        raise StitchError(f"'pretrained' is for models of a library; give {path.name} a .safetensors file.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        anchor = CodeSource.read(path, function).build()
    if name is not None and name != anchor.name:
        anchor = Anchor(
            anchor.model,
            anchor.split,
            name=name,
            input_spec=anchor.input_spec,
            classes=anchor.classes,
            source=anchor.source,
        )
    if weights is not None:
        load_weights(anchor.model, Path(weights))
    return anchor.eval()


def load_anchor(
    text: str, *, need_weights: bool = False, structure_only: bool = False, trust_code: bool = False
) -> Anchor:
    """Anchor from the short form of the command line: ``[name=]source[?arguments][@weights]``.

    The source is a timm name, ``torchvision:NAME``, ``hf:FOLDER_OR_HUB_ID``, ``path/to/file.py:function``,
    or a folder saved by `save_anchor`. Weights are a local ``.safetensors`` file, ``pretrained`` (the
    library's own; may use the network) or ``random``; what ``hf:`` names has its own if none are given.
    Arguments of timm's or torchvision's builder that change the architecture are written behind a question
    mark, ``key=value`` with the value in YAML, and joined by ``&``: ``?drop_path_rate=0.1&img_size=160``.

    Args:
        text: The short form.
        need_weights: Refuse a timm or torchvision name without weights.
        structure_only: Build on the meta device and read no weights: enough for shapes and costs, and
            immediate for a model of any size.
        trust_code: Allow a saved folder's own architecture file to run. A file that ``text`` itself
            names is run in any case.

    Raises:
        StitchError: See the functions above.
    """
    name, source, arguments, weights = read_anchor_text(text)
    library, colon, rest = source.partition(":")
    file, _, function = source.rpartition(":")
    is_code, is_folder, is_hf = file.endswith(".py"), Path(source).is_dir(), bool(colon) and library == "hf"
    if source.endswith(".py"):
        raise StitchError(f"{text!r} names no function. Write {source}:function.")
    if not (is_code or is_folder or is_hf) and ("/" in source or source.startswith(".")):
        raise StitchError(f"No folder {source}. Give {_FORMS}.")
    if arguments and (is_code or is_folder or is_hf):
        raise StitchError(f"{text!r}: only models of timm and torchvision take arguments. Leave out ?….")
    if weights is None and need_weights and not (structure_only or is_folder or is_code or is_hf):
        raise StitchError(
            f"Anchor {text!r} has no weights. Write {text}@weights.safetensors, {text}@random, or "
            f"{text}@pretrained for the library's own, which may use the network."
        )
    if is_hf and weights is None:
        weights = "pretrained"
    if weights == "random" or structure_only:
        weights = None
    with torch.device("meta") if structure_only else nullcontext():
        if is_code:
            return anchor_from_file(Path(file), function, name=name, weights=weights)
        if is_folder:
            return load_saved_anchor(
                Path(source), name=name, weights=weights, trust_code=trust_code, structure_only=structure_only
            )
        if is_hf:
            return anchor_from_hf(rest, name=name, weights=weights)
        if colon and library == "torchvision":
            return anchor_from_torchvision(rest, name=name, weights=weights, arguments=arguments)
        return anchor_from_timm(source, name=name, weights=weights, arguments=arguments)


def read_anchor_text(text: str) -> tuple[str | None, str, dict[str, Any], str | None]:
    """Take ``[name=]source[?arguments][@weights]`` apart.

    Example:
        >>> read_anchor_text("ti=deit_tiny_patch16_224@weights/ti.safetensors")
        ('ti', 'deit_tiny_patch16_224', {}, 'weights/ti.safetensors')
        >>> read_anchor_text("torchvision:resnet18@random")
        (None, 'torchvision:resnet18', {}, 'random')
        >>> read_anchor_text("vit_tiny_patch16_224?depth=2&drop_path_rate=0.1")
        (None, 'vit_tiny_patch16_224', {'depth': 2, 'drop_path_rate': 0.1}, None)
    """
    front, _, weights = text.strip().partition("@")
    front, question, words = front.partition("?")
    name, equals, rest = front.partition("=")
    source = (rest if equals else front).strip()
    if not source:
        raise StitchError(f"Anchor {text!r} names no model. Write it as [name=]source[?arguments][@weights].")
    arguments = dict(_argument(text, word) for word in words.split("&")) if question else {}
    return (name.strip() if equals else None), source, arguments, weights or None


def _argument(text: str, word: str) -> tuple[str, Any]:
    key, equals, value = word.partition("=")
    if not (key.strip().isidentifier() and equals):
        raise StitchError(f"Anchor {text!r}: {word!r} is no argument. Write ?key=value&key=value.")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise StitchError(f"Anchor {text!r}: the value of {key} does not read as YAML.") from error


def _stitch_name(model: str) -> str:
    return model.partition(".")[0]
