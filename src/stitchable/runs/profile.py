"""What the stitches of a run cost on this device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stitchable.evaluation.curve import read_curve
from stitchable.evaluation.device_cost import (
    Condition,
    DeviceCosts,
    read_device_costs,
    write_device_costs,
)
from stitchable.network import StitchedNetwork
from stitchable.profiling.profile import profile
from stitchable.profiling.runtimes import check_condition
from stitchable.runs.folder import RunFolder
from stitchable.space.prune import sample_members
from stitchable.stitch import Stitch

MOST_STITCHES = 2000
"""How many stitches are predicted where the run has no curve yet: all, or as many drawn uniformly."""


def profile_run(
    run: RunFolder,
    conditions: Sequence[Condition],
    *,
    check: int = 8,
    seconds: float = 20.0,
    trust_code: bool = False,
    on_condition: Callable[[Condition], None] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> list[DeviceCosts]:
    """Measure under some conditions; ``profile.json`` has each as soon as it is done.

    Results of other conditions stay in the file, behind the new ones.

    Args:
        run: A run that was fitted. The stitches of its curve are predicted.
        conditions: Each is measured by itself, one after the other.
        check: Stitches to measure whole under each.
        seconds: How long to measure each.
        trust_code: Allow the folder's own architecture files to run.
        on_condition: Called before each.
        on_progress: Called with the share of a condition that is done.

    Returns:
        The new results, in the order of the conditions.

    Raises:
        StitchError: There is no run, or a condition cannot be met here.
    """
    run.require()
    for condition in conditions:
        check_condition(condition)
    if run.profile.is_file():
        read_device_costs(run.profile)  # damage is told before minutes are spent
    found = []
    for condition in conditions:
        if on_condition:
            on_condition(condition)
        network = StitchedNetwork.from_pretrained(run.weights, trust_code=trust_code)
        costs = profile(
            network,
            condition,
            _chosen(run, network),
            check=check,
            seconds=seconds,
            on_progress=on_progress,
            keep=lambda new: _keep(run, new),
        )
        found.append(costs)
    return found


def _keep(run: RunFolder, new: DeviceCosts) -> None:
    """Put a result in front of those of other conditions."""
    old = read_device_costs(run.profile) if run.profile.is_file() else []
    write_device_costs(run.profile, [new, *(each for each in old if each.condition != new.condition)])


def _chosen(run: RunFolder, network: StitchedNetwork) -> list[Stitch]:
    if run.latest_curve.is_file():
        return [network.space.stitch(row.stitch) for row in read_curve(run.latest_curve)]
    return sample_members(network.space, MOST_STITCHES, seed=0)
