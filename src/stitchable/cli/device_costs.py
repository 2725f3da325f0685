"""Options that say under which condition of a run's profile a cost is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace

from stitchable.errors import StitchError
from stitchable.runs.folder import RunFolder

if TYPE_CHECKING:
    from stitchable.menu.condition import Measured

FIELDS = ("batch", "runtime", "dtype", "threads", "device")


def add_condition(parser: ArgumentParser) -> None:
    """Add the options that choose a condition."""
    parser.add_argument(
        "--batch", type=int | None, default=None, help="Condition of the profile: images per call."
    )
    parser.add_argument(
        "--runtime",
        type=Literal["eager", "compiled", "onnxruntime"] | None,
        default=None,
        help="Condition: what runs it.",
    )
    parser.add_argument("--dtype", type=str | None, default=None, help="Condition: such as float32.")
    parser.add_argument(
        "--threads", type=int | None, default=None, help="Condition: threads of the processor."
    )
    parser.add_argument("--device", type=str | None, default=None, help="Condition: cpu or cuda.")
    parser.add_argument(
        "--percentile",
        choices=["p50", "p95"],
        default="p50",
        help="Which latency counts: the median, or p95.",
    )


def condition_given(arguments: Namespace) -> bool:
    """Whether any of a condition was asked for."""
    return any(arguments[name] is not None for name in FIELDS)


def measured_costs(folder: RunFolder, arguments: Namespace) -> Measured:
    """Costs of a run's profile under the condition asked for.

    Raises:
        StitchError: There is no profile, or none under this condition; the message names the command for it.
    """
    from stitchable.evaluation.device_cost import read_device_costs
    from stitchable.menu.condition import choose_condition, profile_command

    wanted = {name: arguments[name] for name in FIELDS}
    if not folder.profile.is_file():
        command = profile_command(str(folder.path), wanted)
        raise StitchError(
            f"{folder.path} has no profile of latency and memory yet. Measure it with '{command}'."
        )
    return choose_condition(read_device_costs(folder.profile), wanted, run=str(folder.path))
