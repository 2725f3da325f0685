"""Folders that need nothing but themselves: how anchors are written down and built again.

A folder holds ``config.json`` (how to build the architecture again), ``model.safetensors``, a card
``README.md`` and, for architectures of the user's own, their files under ``architectures/``. Running
such a file is running somebody's code, so it is done only with ``trust_code=True``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_model
from torch import nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.hf_source import HfSource
from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.saved_config import check_config
from stitchable.anchors.source import CodeSource, TimmSource
from stitchable.anchors.torchvision_source import TorchvisionSource
from stitchable.anchors.weights import load_weights
from stitchable.errors import StitchError, writing
from stitchable.input_spec import InputSpec

FORMAT = 1
CONFIG, WEIGHTS, ARCHITECTURES = "config.json", "model.safetensors", "architectures"
FolderKind = Literal["anchor", "network", "subnetwork"]


def save_anchor(anchor: Anchor, folder: str | Path) -> None:
    """Write one anchor; `load_saved_anchor` and the command line read it back.

    Raises:
        StitchError: The anchor does not say how it is built again.
    """
    write_folder(Path(folder), "anchor", module=anchor.model, anchors=[anchor], entries={})


def load_saved_anchor(
    folder: Path,
    *,
    name: str | None = None,
    weights: str | Path | None = None,
    trust_code: bool = False,
    structure_only: bool = False,
) -> Anchor:
    """Read what `save_anchor` wrote, in eval mode.

    Args:
        folder: A folder of kind ``anchor``.
        name: Another name for stitch ids.
        weights: Another local ``.safetensors`` file instead of the folder's own.
        trust_code: Allow the folder's own architecture file to run.
        structure_only: Leave the weights as the architecture starts.

    Raises:
        StitchError: Not such a folder, broken weights, or code that is not trusted.
    """
    config = read_config(folder, "anchor")
    entry = {**config["anchors"][0], **({"name": name} if name else {})}
    anchor = build_anchor(folder, entry, trust_code=trust_code)
    if not structure_only:
        load_weights(anchor.model, Path(weights) if weights else folder / WEIGHTS)
    return anchor.eval()


def _anchor_config(anchor: Anchor) -> dict[str, Any]:
    if anchor.source is None:
        raise StitchError(
            f"Anchor {anchor.name} does not say how its architecture is built again, so it cannot be saved. "
            "Give it a source: TimmSource(model, arguments), or describe it in a file of your own."
        )
    source = anchor.source.to_dict()
    if isinstance(anchor.source, CodeSource):
        source["text"] = _code_file(anchor.source)
    entry = {
        "name": anchor.name,
        "source": source,
        "input": asdict(anchor.input_spec),
        "classes": list(anchor.classes) if anchor.classes else None,
    }
    if anchor.own_input != anchor.input_spec:
        entry["own_input"] = asdict(anchor.own_input)
    return entry


def _code_file(source: CodeSource) -> str:
    digest = hashlib.sha256(source.text.encode()).hexdigest()[:8]
    return f"{ARCHITECTURES}/{Path(source.file).stem}_{digest}.py"


def write_folder(
    folder: Path,
    kind: FolderKind,
    *,
    module: nn.Module,
    anchors: Iterable[Anchor],
    entries: Mapping[str, Any],
) -> None:
    """Write configuration, architecture files and weights.

    Args:
        folder: Created where missing; files of the same names are replaced, each whole or not at all.
        kind: What the folder holds.
        module: Its state dict becomes ``model.safetensors``.
        anchors: The anchors that ``module`` is made of.
        entries: Further plain data for ``config.json``.

    Raises:
        StitchError: An anchor does not say how it is built again, or not in plain data; nothing is
            written.
    """
    anchors = list(anchors)
    config = {
        "format": FORMAT,
        "kind": kind,
        "anchors": [_anchor_config(anchor) for anchor in anchors],
        **entries,
    }
    try:
        text = json.dumps(config, indent=1) + "\n"
    except TypeError as error:
        raise StitchError(
            f"{folder} cannot be written: {error}. A source's arguments must be plain data."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    for anchor in anchors:
        if isinstance(anchor.source, CodeSource):
            path = folder / _code_file(anchor.source)
            path.parent.mkdir(exist_ok=True)
            path.write_text(anchor.source.text, encoding="utf-8")
    weights, partial = (folder / f"{name}.partial" for name in (WEIGHTS, CONFIG))
    try:
        with writing(folder / WEIGHTS):
            save_model(module, str(weights), metadata={"format": "pt"})
        with writing(folder / CONFIG):
            partial.write_text(text, encoding="utf-8")
        weights.replace(folder / WEIGHTS)
        partial.replace(folder / CONFIG)
    finally:  # nothing is left of them unless writing failed
        weights.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)


def read_config(folder: Path, kind: FolderKind) -> dict[str, Any]:
    """Configuration of a folder.

    Raises:
        StitchError: No such folder, another kind, a broken file, a newer format, or an entry that is
            missing or malformed.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise StitchError(f"{folder} is not a saved {kind}: it has no {CONFIG}.")
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found, version = config["kind"], int(config["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise StitchError(f"{path} does not read ({error}). Save the {kind} again.") from error
    if version > FORMAT:
        raise StitchError(f"{path} has format {version}; this stitchable reads up to {FORMAT}. Update it.")
    if found != kind:
        raise StitchError(f"{folder} holds a {found}, not a {kind}.")
    check_config(path, config, kind)
    return config


def build_anchor(folder: Path, entry: Mapping[str, Any], *, trust_code: bool) -> Anchor:
    """Anchor with random weights, from its entry in ``config.json``.

    Raises:
        StitchError: It needs a file of the folder's own to run, and that is not allowed.
    """
    anchor = _build_anchor(folder, entry, trust_code=trust_code)
    spec = InputSpec(**entry["input"])
    return anchor if anchor.input_spec == spec else anchor.taking(spec)


def _build_anchor(folder: Path, entry: Mapping[str, Any], *, trust_code: bool) -> Anchor:
    given = entry["source"]
    spec = InputSpec(**entry.get("own_input", entry["input"]))
    with torch.random.fork_rng(devices=[]):
        library = _library_source(given)
        if library is not None:
            return anchor_from_module(
                library.build(),
                name=entry["name"],
                input_spec=spec,
                classes=entry["classes"],
                source=library,
            )
        if given["kind"] != "code":
            raise StitchError(f"{folder} has a source of unknown kind {given['kind']!r}. Update stitchable.")
        path = folder / given["text"]
        if not trust_code:
            raise StitchError(
                f"{folder} brings its own architecture file {given['text']}, which would run as code. "
                "Read it, then allow it with trust_code=True (--trust_code on the command line)."
            )
        if not path.is_file():
            raise StitchError(f"{folder} lacks its architecture file {given['text']}. Copy the folder whole.")
        source = CodeSource(path.read_text(encoding="utf-8"), given["file"], given["function"])
        built = source.build()
    return Anchor(
        built.model, built.split, name=entry["name"], input_spec=spec, classes=entry["classes"], source=source
    )


def _library_source(given: Mapping[str, Any]) -> TimmSource | TorchvisionSource | HfSource | None:
    """Source of a library's architecture; ``None`` for one of the user's own."""
    if given["kind"] == "timm":
        return TimmSource(given["model"], given["arguments"])
    if given["kind"] == "torchvision":
        return TorchvisionSource(given["model"], given["arguments"])
    return HfSource(given["config"]) if given["kind"] == "hf" else None
