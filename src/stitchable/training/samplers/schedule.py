"""A fixed schedule, as a list or from a text file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stitchable.errors import StitchError
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch
from stitchable.training.samplers.sampler import Sampler, dearest_first


class ScheduleSampler(Sampler):
    """What a list says, step by step, on every rank; behind its end it begins again.

    Args:
        space: Which stitches there are.
        schedule: For every step the stitches, ids or anchors' names to train, one or more.

    Raises:
        StitchError: A stitch is not in the space, a step has none or one of them twice, or there is no step.
    """

    def __init__(self, space: StitchingSpace, schedule: Sequence[Sequence[Stitch | str]]) -> None:
        if not schedule:
            raise StitchError("The schedule has no step. Give at least one, with one stitch or more.")
        self.schedule = [_stitches(space, each) for each in schedule]

    @classmethod
    def from_file(cls, space: StitchingSpace, path: str | Path) -> ScheduleSampler:
        """Read a text file: one line per step, with stitch ids or anchors' names separated by blanks.

        Empty lines and lines that begin with ``#`` are no steps.

        Raises:
            StitchError: The file does not read, or a line does not; the message names it.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
        except (OSError, UnicodeDecodeError) as error:
            raise StitchError(f"The schedule {path} does not read: {error}.") from None
        steps = []
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    steps.append(_stitches(space, line.split()))
                except StitchError as error:
                    raise StitchError(f"{path}, line {number}: {error}") from None
        if not steps:
            raise StitchError(f"The schedule {path} has no step. Write one line per step, such as 'small'.")
        return cls(space, steps)

    def __call__(self, step: int, rank: int = 0) -> tuple[Stitch, ...]:
        """Stitches of ``step``."""
        return self.schedule[step % len(self.schedule)]


def _stitches(space: StitchingSpace, given: Sequence[Stitch | str]) -> tuple[Stitch, ...]:
    stitches = [space.stitch(each) for each in given]
    if not stitches or len(set(stitches)) < len(stitches):
        names = " ".join(map(str, stitches)) or "nothing"
        raise StitchError(f"A step trains one or more different stitches; got {names}.")
    return dearest_first(space, stitches)
