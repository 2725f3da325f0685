"""Which stitches of a space a user names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from stitchable.errors import StitchError
from stitchable.space.prune import sample_members
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch


def chosen_stitches(
    space: StitchingSpace, wanted: int | str | Sequence[str] | None, *, seed: int = 0
) -> list[Stitch]:
    """The stitches to measure, by index; the anchors are always among them.

    Args:
        space: What to choose from.
        wanted: A number, drawn from the space, the anchors among them; ids, as a list or separated by
            commas, or the name of a text file with one per line, where empty lines and those that begin
            with ``#`` mean nothing; ``None`` means all.
        seed: Of the draw.

    Raises:
        StitchError: An id is not in the space, a file is no text, or nothing is named.
    """
    if wanted is None:
        return list(space)
    if isinstance(wanted, int):
        return sample_members(space, wanted, seed=seed)
    named = [space.stitch(each) for each in _ids(wanted)]
    if not named:
        raise StitchError(f"{wanted!r} names no stitch. Give ids, a number, or a file with an id per line.")
    anchors = [space.stitch(name) for name in space.outlines]
    return sorted(dict.fromkeys([*anchors, *named]), key=space.index)


def _ids(wanted: str | Sequence[str]) -> Iterator[str]:
    words: Sequence[str] = wanted
    if isinstance(wanted, str):
        file = _file(wanted)
        try:
            words = file.read_text(encoding="utf-8").splitlines() if file else wanted.split(",")
        except UnicodeDecodeError:
            raise StitchError(f"{file} is no text. Give a file with one stitch id per line.") from None
    return (word.strip() for word in words if word.strip() and not word.strip().startswith("#"))


def _file(wanted: str) -> Path | None:
    try:
        return path if (path := Path(wanted)).is_file() else None
    except OSError:  # many ids are longer than a name may be
        return None
