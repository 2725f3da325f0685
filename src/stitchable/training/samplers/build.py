"""From options to a sampler."""

from __future__ import annotations

from collections.abc import Callable

from stitchable.errors import StitchError
from stitchable.space.space import StitchingSpace
from stitchable.training.samplers.balanced import BalancedSampler
from stitchable.training.samplers.front import FrontSampler
from stitchable.training.samplers.mixture import MixtureSampler
from stitchable.training.samplers.options import SamplerOptions
from stitchable.training.samplers.rounds import RoundsSampler
from stitchable.training.samplers.sampler import SameOnAllRanks, Sampler
from stitchable.training.samplers.sandwich import SandwichSampler
from stitchable.training.samplers.schedule import ScheduleSampler
from stitchable.training.samplers.uniform import UniformSampler

Build = Callable[[StitchingSpace, SamplerOptions, int], Sampler]


def build_sampler(space: StitchingSpace, options: SamplerOptions | None = None, *, seed: int = 0) -> Sampler:
    """Make the sampler that ``options`` describe.

    Raises:
        StitchError: The space has too few stitches for it, or a schedule does not read.
    """
    options = options or SamplerOptions()
    sampler = BUILDERS[options.kind](space, options, seed)
    return sampler if options.per_rank else SameOnAllRanks(sampler)


def _uniform(space: StitchingSpace, options: SamplerOptions, seed: int) -> Sampler:
    return UniformSampler(space, seed=seed, stitches_per_step=options.stitches_per_step)


def _rounds(space: StitchingSpace, options: SamplerOptions, seed: int) -> Sampler:
    return RoundsSampler(space, seed=seed, stitches_per_step=options.stitches_per_step)


def _balanced(space: StitchingSpace, options: SamplerOptions, seed: int) -> Sampler:
    return BalancedSampler(
        space,
        seed=seed,
        stitches_per_step=options.stitches_per_step,
        gap=options.gap,
        candidates=options.candidates,
    )


def _sandwich(space: StitchingSpace, options: SamplerOptions, seed: int) -> Sampler:
    return SandwichSampler(space, seed=seed, random=options.random)


def _front(space: StitchingSpace, options: SamplerOptions, seed: int) -> Sampler:
    return FrontSampler(
        space,
        seed=seed,
        stitches_per_step=options.stitches_per_step,
        floor=options.floor,
        neglected=options.neglected,
        near=options.near,
        memory=options.memory,
        candidates=options.candidates,
    )


def _mixture(space: StitchingSpace, options: SamplerOptions, seed: int) -> Sampler:
    samplers = {kind: BUILDERS[kind](space, options, seed) for kind in options.weights}
    return MixtureSampler(samplers, options.weights, seed=seed)


def _schedule(space: StitchingSpace, options: SamplerOptions, seed: int) -> Sampler:
    if options.file is None:
        raise StitchError("A schedule needs train.sampler.file, a text file with one line per step.")
    return ScheduleSampler.from_file(space, options.file)


BUILDERS: dict[str, Build] = {
    "uniform": _uniform,
    "rounds": _rounds,
    "balanced": _balanced,
    "sandwich": _sandwich,
    "front": _front,
    "mixture": _mixture,
    "schedule": _schedule,
}
