"""Under which condition of a profile a cost is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stitchable.errors import StitchError
from stitchable.evaluation.device_cost import Condition, DeviceCosts

_LISTED = 6


@dataclass(frozen=True)
class Measured:
    """Costs under the condition that was taken.

    Attributes:
        costs: These.
        also: Other conditions that would have fitted as well.
    """

    costs: DeviceCosts
    also: tuple[Condition, ...]


def choose_condition(
    profile: Sequence[DeviceCosts], wanted: Mapping[str, Any], *, run: str = "RUN"
) -> Measured:
    """Take the first condition of a profile that is as wanted.

    Args:
        profile: What `read_device_costs` gives.
        wanted: Values by field of `Condition`; ``None`` for any.
        run: Folder of the run, for the command that an error names.

    Raises:
        StitchError: None is as wanted; the message says which were measured, and the command for this one.
    """
    asked = {name: value for name, value in wanted.items() if value is not None}
    fitting = [each for each in profile if asked.items() <= asdict(each.condition).items()]
    if fitting:
        return Measured(fitting[0], tuple(each.condition for each in fitting[1:]))
    names = ", ".join(f"{name} {value}" for name, value in asked.items()) or "any condition"
    measured = list_conditions([each.condition for each in profile]) or "nothing yet"
    raise StitchError(
        f"The profile holds no cost for {names}. Measured: {measured}. Measure it with "
        f"'{profile_command(run, wanted)}'."
    )


def profile_command(run: str, wanted: Mapping[str, Any]) -> str:
    """The command that measures a condition.

    Example:
        >>> profile_command("runs/mine", {"batch": 1, "runtime": "compiled", "dtype": None})
        'stitchable profile runs/mine --batch 1 --runtime compiled'
    """
    options = [f"--{name} {value}" for name, value in wanted.items() if value is not None]
    return " ".join(["stitchable profile", run, *options])


def list_conditions(conditions: Sequence[Condition]) -> str:
    """Conditions by semicolons, the first six of many."""
    words = [str(each) for each in conditions[:_LISTED]]
    if len(conditions) > _LISTED:
        words.append(f"and {len(conditions) - _LISTED} more")
    return "; ".join(words)
