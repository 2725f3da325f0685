"""Parsing with jsonargparse: sections of the configuration, files, and errors in one line."""

from __future__ import annotations

import json
import re
from argparse import ArgumentError
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from stitchable.errors import StitchError, nearest
from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.space.build import SpaceOptions
from stitchable.tracking.options import TrackOptions
from stitchable.training.options import TrainOptions

SECTIONS: dict[str, type] = {
    "space": SpaceOptions,
    "data": DataConfig,
    "fit": FitConfig,
    "train": TrainOptions,
    "track": TrackOptions,
    "sweep": SweepConfig,
}


def command_parser(command: str, description: str) -> ArgumentParser:
    """Parser of one command; mistakes raise instead of leaving."""
    return ArgumentParser(
        prog=f"stitchable {command}", description=description, exit_on_error=False, allow_abbrev=False
    )


def add_run_config(parser: ArgumentParser) -> None:
    """Add ``--config`` and every key of `RunConfig`."""
    parser.add_argument("--config", action="config", help="YAML file with any of the keys below.")
    parser.add_class_arguments(RunConfig)


def add_sections(parser: ArgumentParser, *names: str) -> None:
    """Add some sections of `RunConfig`, with ``--seed`` and ``--device``."""
    for name in names:
        parser.add_class_arguments(SECTIONS[name], name)
    parser.add_argument("--seed", type=int, default=0, help="Of everything random.")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or mps.")


def add_trust_code(parser: ArgumentParser) -> None:
    """Add ``--trust_code``."""
    parser.add_argument(
        "--trust_code",
        action="store_true",
        help="Allow a saved folder's own architecture files to run. Read them first if they are not yours.",
    )


def parse(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """Parse, and turn what jsonargparse raises into a `StitchError` of one line."""
    try:
        given = parser.parse_args(list(words))
        for name in _sections(option_names(parser)):
            if name in given and not isinstance(given[name], Namespace):
                raise StitchError(f"{name!r} holds keys of its own, such as {name}.…; got {given[name]!r}.")
        parsed: Namespace = parser.instantiate(given)
        return parsed
    except ArgumentError as error:
        raise StitchError(_one_line(parser, error)) from None
    except UnicodeDecodeError as error:
        raise StitchError(f"The configuration is no text: {error}.") from None


def parse_with_run(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """Parse the arguments of a command on a run, whose own configuration gives the defaults.

    The parser needs a positional argument ``run``.
    """
    try:
        run = RunFolder(parser.parse_args(list(words)).run)
    except ArgumentError as error:
        raise StitchError(_one_line(parser, error)) from None
    stored = _stored_words(parser, run)
    parse(parser, words)  # mistakes in the words themselves are told first, and not blamed on the file
    try:
        return parse(parser, [*stored, *words])
    except StitchError as error:
        raise StitchError(f"{run.config_file} does not fit this command: {error}") from None


def parse_with_config(parser: ArgumentParser, name: str, words: Sequence[str]) -> Namespace:
    """Parse the arguments of a command that takes a configuration file by its place; the words win over it.

    Args:
        parser: With ``--config`` and a positional argument for the file.
        name: Of that argument.
        words: Those of the command line.
    """
    try:
        file = parser.parse_args(list(words))[name]
    except ArgumentError as error:
        raise StitchError(_one_line(parser, error)) from None
    return parse(parser, ["--config", file, *words])


def _stored_words(parser: ArgumentParser, run: RunFolder) -> list[str]:
    """A run's configuration as words of the command line, which are checked as those are."""
    stored = run.read_config()
    names = option_names(parser)
    sections = {*SECTIONS, *_sections(names)}
    flat: dict[str, Any] = {}
    left = list(stored.items())
    for key, value in left:
        if key not in sections:
            flat[key] = value
        elif isinstance(value, Mapping):
            left += [(f"{key}.{inner}", each) for inner, each in value.items()]
        else:
            raise StitchError(f"{run.config_file}: {key!r} holds keys of its own; got {value!r}.")
    return [
        f"--{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in flat.items()
        if key in names and value is not None  # what may be null is null by default
    ]


def _sections(names: Iterable[str]) -> list[str]:
    """What holds keys of its own, such as ``train`` and ``train.sampler``; outer ones come first."""
    parts = [name.split(".") for name in names]
    return sorted({".".join(each[:length]) for each in parts for length in range(1, len(each))}, key=len)


def option_names(parser: ArgumentParser) -> set[str]:
    """Dotted names of a parser's options."""
    own = {action.dest for action in parser._actions if action.option_strings}
    return own - {"help", "print_shtab"}


_UNION = re.compile(
    r"Does not validate against any of the Union subtypes Subtypes: \[(.+)\] Errors: .* "
    r"Given value type: \S+ Given value: (.*)"
)


def _alternatives(union: re.Match[str]) -> str:
    kinds = re.split(r", (?![^\[]*\])", union[1])
    return f"expected {' or '.join(kinds).replace('NoneType', 'null')}. Got value: {union[2]}"


def _as_written(parser: ArgumentParser, name: str) -> str:
    """What stands on the command line for an argument: ``--out`` for an option, the name for a place."""
    own = (action.option_strings for action in parser._actions if action.dest == name)
    return next((strings[-1] for strings in own if strings), name)


def _one_line(parser: ArgumentParser, error: ArgumentError) -> str:
    text = " ".join(str(error).split())
    text = re.sub(r"<class '(\w+)'>", r"\1", text).replace("typing.Literal", "one of ")
    text = text.replace('Parser key "', 'Key "').replace(": Expected a ", ": expected ")
    text = _UNION.sub(_alternatives, text)
    missing = re.fullmatch(r"(the following arguments are required: )(.+)", text)
    if missing:
        text = missing[1] + ", ".join(_as_written(parser, name) for name in missing[2].split(", "))
    unknown = re.search(r"Group '([\w.]+)' does not accept option '([\w.]+)'", text)
    if unknown:
        key = f"{unknown[1]}.{unknown[2]}"
        return f"Unknown key {key!r}. {nearest(key, option_names(parser))}"
    unknown = re.search(r"(?:Unrecognized arguments?:|unrecognized arguments?:) (\S+)", text, re.IGNORECASE)
    unknown = unknown or re.search(r"(?:[Kk]ey|Option) '([\w.]+)' is not (?:expected|accepted)", text)
    if unknown:
        key = unknown[1].partition("=")[0]
        names = (
            {f"--{name}" for name in option_names(parser)} if key.startswith("-") else option_names(parser)
        )
        return f"Unknown argument {key!r}. {nearest(key, names)}".strip()
    absent = re.match(r"""(Key "\w+"): Unable to load config '(.+)' - \1: Unable to load config""", text)
    if absent:
        return (
            f"{absent[1]}: there is no file {absent[2]!r}. Give that of a YAML file with keys of the section."
        )
    if text.startswith("Unexpected config:"):
        got = text.partition(":")[2].strip() or "nothing"
        return f"A configuration file holds keys and values, such as 'seed: 1'; got {got}."
    return text if text.endswith((".", "?")) else f"{text}."
