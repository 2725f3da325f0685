"""Blocks in pieces, one in each process (FSDP2), for families whose training does not fit one device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from stitchable.errors import SharedError, StitchError
from stitchable.modes import evaluating
from stitchable.network import StitchedNetwork
from stitchable.ranks import LostError, Ranks, reason_of
from stitchable.training.local import in_pieces, local
from stitchable.training.options import OWN, TrainOptions

if TYPE_CHECKING:
    from stitchable.anchors.anchor import Anchor


def check_sharding(network: StitchedNetwork, options: TrainOptions, ranks: Ranks, *, alike: bool) -> None:
    """Make sure that the options go together with blocks in pieces.

    Args:
        network: What is trained.
        options: See `TrainOptions`.
        ranks: The processes.
        alike: Whether all train the same stitches.

    Raises:
        StitchError: They do not; the message says why.
    """
    reasons = {
        "it needs several processes; start with torchrun": ranks.count == 1,
        "all processes put a block together at the same time, so they train the same stitches; "
        "leave train.sampler.per_rank false": not alike,
        "the joints' own norms and biases are not in pieces; give another train.tune": (
            options.tune in OWN or len(network.behind) > 0
        ),
        "blocks in pieces are not compiled; leave train.compile false": options.compile,
        "pieces lie in one order; leave train.channels_last false": options.channels_last,
        "the scaler of float16 does not know of pieces; give train.autocast bfloat16": (
            options.autocast == "float16"
        ),
        "the network of the last measurement is not kept in pieces; leave train.guard.stop false": (
            options.guard.stop
        ),
        "the best epoch's network is not kept in pieces; set train.checkpoint.probe_images to 0": (
            options.checkpoint.probe_images > 0
        ),
    }
    for reason, applies in reasons.items():
        if applies:
            raise StitchError(f"train.shard does not go with these options: {reason}.")


@contextmanager
def sharded(network: StitchedNetwork, ranks: Ranks) -> Iterator[None]:
    """A network whose blocks are in pieces; whole again afterwards, unless an exception ends it.

    Of every block's weights each process holds a share of the rows, as it does of their gradients and of what
    the optimiser keeps. A block is put together for as long as it runs, forward and backward. Gradients of
    pieces are the sums over the processes. Stems, heads and stitching layers stay whole.

    Args:
        network: The same in all processes.
        ranks: All processes of the job.
    """
    device = next(network.parameters()).device
    mesh = init_device_mesh(device.type, (ranks.count,))
    blocks = [block for anchor in network.anchors.values() for block in called_blocks(anchor)]
    wholes = [_Whole(block) for block in blocks]
    for block in blocks:
        made: Any = fully_shard(block, mesh=mesh, reshard_after_forward=True)
        made.set_gradient_divide_factor(1.0)
        made.set_force_sum_reduction_for_comms(True)  # gloo knows no other
    yield
    for whole in wholes:
        whole.put_back()


@torch.no_grad()
def called_blocks(anchor: Anchor) -> list[nn.Module]:
    """Modules of an anchor's blocks that are run by calling them, as FSDP needs it; none is in another."""
    found = dict(anchor.model.named_modules())
    names = dict.fromkeys(name for part in anchor.split.blocks for name in part.uses if name in found)
    outer = [name for name in names if not any(name.startswith(f"{other}.") for other in names)]
    called: set[str] = set()
    handles = [
        found[name].register_forward_pre_hook(lambda module, given, name=name: called.add(name))
        for name in outer
    ]
    device = next(anchor.parameters()).device
    try:
        with evaluating(anchor):
            anchor(torch.zeros(1, *anchor.input_spec.size, device=device, dtype=_dtype(anchor)))
    finally:
        for handle in handles:
            handle.remove()
    return [found[name] for name in outer if name in called and any(True for _ in found[name].parameters())]


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


class _Whole:
    """What a block was before it was cut into pieces: its class, its hooks, its parameters."""

    def __init__(self, block: nn.Module) -> None:
        self.block, self.kind = block, type(block)
        self.parts = [
            (part, [dict(each) for each in _hooks(part)], set(vars(part))) for part in block.modules()
        ]
        self.parameters = [
            (part, name, parameter)
            for part in block.modules()
            for name, parameter in part._parameters.items()
            if parameter is not None
        ]

    @torch.no_grad()
    def put_back(self) -> None:
        """Make it whole, with the weights of now in the parameters of then. All processes call this."""
        done: set[int] = set()
        for part, name, parameter in self.parameters:
            now: Any = part._parameters[name]
            if in_pieces(now) and id(parameter) not in done:
                parameter.data = now.full_tensor().detach()
                done.add(id(parameter))
            part._parameters[name] = parameter
        self.block.__class__ = self.kind
        for part, hooks, names in self.parts:
            for added in set(vars(part)) - names:
                delattr(part, added)
            for now, then in zip(_hooks(part), hooks, strict=True):
                now.clear()
                now.update(then)


def _hooks(module: nn.Module) -> list[dict[int, Any]]:
    found: dict[str, Any] = vars(module)
    return [found[name] for name in sorted(found) if name.endswith("_hooks") or "_hooks_" in name]


def clip_pieces(parameters: Iterable[Tensor], limit: float, ranks: Ranks) -> None:
    """Scale gradients, some of them in pieces, so that the norm of all is at most ``limit``.

    As `torch.nn.utils.clip_grad_norm_` does it for whole ones; the same in all processes.
    """
    gradients = [each.grad for each in parameters if each.grad is not None]
    if not gradients:
        return
    pieces = [local(each) for each in gradients if in_pieces(each)]
    wholes = [each for each in gradients if not in_pieces(each)]
    square = _square(pieces, gradients[0].device)
    ranks.add(square, met=True)
    norm = (square + _square(wholes, square.device)).sqrt()
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)
    for each in (*pieces, *wholes):
        each.mul_(factor.to(each.dtype))


def _square(tensors: Iterable[Tensor], device: torch.device) -> Tensor:
    squares = [each.double().square().sum() for each in tensors]
    return torch.stack(squares).sum() if squares else torch.zeros((), dtype=torch.float64, device=device)


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """While blocks are put together the others cannot be told of a mistake: its process just goes.

    Raises:
        SharedError: This process has made a mistake.
        LostError: Another process has gone.
    """
    try:
        yield
    except (SharedError, LostError):
        raise
    except StitchError as error:
        raise SharedError(str(error), told=False) from error
    except RuntimeError as error:
        raise LostError(
            f"A step with blocks in pieces broke off ({reason_of(error)}). If another process has gone, what "
            "it said last is the reason."
        ) from error
