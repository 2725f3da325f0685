"""Tiny real models for the tests of everything above the anchors, and one thread to run them on."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stitchable.input_spec import InputSpec

if TYPE_CHECKING:
    from torch import Tensor

    from stitchable.anchors.anchor import Anchor
    from stitchable.network import StitchedNetwork
    from stitchable.space.build import SpaceOptions

CLASSES = 5


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small run on one thread: more only wait for each other where cores are busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _spread(anchor: Anchor, seed: int) -> Anchor:
    """Weights of a scale at which tiny models tell images apart: timm's start is made for wide ones."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in anchor.model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point():
                fan_in = tensor[0].numel() if tensor.ndim > 1 else 1
                embeds = name.endswith(("embed", "token"))
                scale = 1.0 if embeds else 0.2 if tensor.ndim == 1 else fan_in**-0.5
                centre = 1.0 if tensor.ndim == 1 and name.endswith("weight") else 0.0
                tensor.normal_(centre, scale, generator=generator)
    return anchor


@pytest.fixture(scope="session")
def tiny_vit() -> Callable[..., Anchor]:
    """Builder of plain ViTs for grey images of 8×8 or another size, patches of 4×4, and a class token."""
    from stitchable.anchors.load import anchor_from_timm

    def build(
        name: str, width: int, *, depth: int = 3, seed: int = 0, side: int = 8, **arguments: Any
    ) -> Anchor:
        size = {"img_size": side, "patch_size": 4, "in_chans": 1, "num_classes": CLASSES}
        shape = {"depth": depth, "embed_dim": width, "num_heads": 2}
        anchor = anchor_from_timm(
            "vit_tiny_patch16_224",
            name=name,
            arguments={**size, **shape, **arguments},
            input_spec=InputSpec((1, side, side), (0.5,), (0.5,)),
        )
        return _spread(anchor, seed)

    return build


@pytest.fixture(scope="session")
def tiny_resnet() -> Callable[..., Anchor]:
    """Builder of ResNets for grey 32×32 images: maps of 8×8, 4×4, 2×2 and 1×1."""
    from stitchable.anchors.load import anchor_from_timm

    def build(name: str, layers: tuple[int, ...], width: int, *, seed: int = 0, **arguments: Any) -> Anchor:
        channels = (width, width + 2, width + 4, width + 4)
        anchor = anchor_from_timm(
            "resnet18",
            name=name,
            arguments={
                "in_chans": 1,
                "num_classes": CLASSES,
                "layers": layers,
                "channels": channels,
                **arguments,
            },
            input_spec=InputSpec((1, 32, 32), (0.5,), (0.5,)),
        )
        return _spread(anchor, seed)

    return build


@pytest.fixture
def stitched_vits(tiny_vit: Callable[..., Anchor]) -> Callable[..., StitchedNetwork]:
    """Builder of networks of two or three ViTs of three blocks, 4, 6 and 10 wide."""
    from stitchable.network import StitchedNetwork

    def build(options: SpaceOptions | None = None, *, anchors: int = 2, **arguments: Any) -> StitchedNetwork:
        sizes = (("small", 4), ("medium", 6), ("large", 10))[:anchors]
        built = [tiny_vit(name, width, seed=width, **arguments) for name, width in sizes]
        return StitchedNetwork(built, options, seed=1).eval()

    return build


@pytest.fixture
def stitched_resnets(tiny_resnet: Callable[..., Anchor]) -> Callable[..., StitchedNetwork]:
    """Builder of networks of two ResNets of unequal depth."""
    from stitchable.network import StitchedNetwork

    def build(options: SpaceOptions | None = None, **arguments: Any) -> StitchedNetwork:
        shallow = tiny_resnet("shallow", (2, 2, 2, 1), 4, seed=4, **arguments)
        deep = tiny_resnet("deep", (4, 4, 4, 1), 6, seed=6, **arguments)
        return StitchedNetwork([shallow, deep], options, seed=1).eval()

    return build


@pytest.fixture(scope="session")
def noise() -> Callable[..., Tensor]:
    """Builder of normal image batches ``(count, 1, side, side)``."""
    import torch

    def build(count: int, *, side: int = 8, seed: int = 0) -> Tensor:
        return torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(seed))

    return build


@pytest.fixture(scope="session")
def labelled(noise: Callable[..., Tensor]) -> Callable[..., list[tuple[Tensor, Tensor]]]:
    """Builder of lists of batches of images and labels."""
    import torch

    def build(batches: int, size: int, *, side: int = 8, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        return [
            (
                noise(size, side=side, seed=1000 * seed + number),
                torch.randint(CLASSES, (size,), generator=generator),
            )
            for number in range(batches)
        ]

    return build


@pytest.fixture(scope="session")
def digit_models(tmp_path_factory: pytest.TempPathFactory, tiny_vit: Callable[..., Anchor]) -> list[str]:
    """Folders of two saved anchors that take the digits; their weights are random."""
    from stitchable.anchors.store import save_anchor

    root = tmp_path_factory.mktemp("models")
    for name, width in (("small", 4), ("medium", 6)):
        save_anchor(tiny_vit(name, width, seed=width, num_classes=10), root / name)
    return [str(root / name) for name in ("small", "medium")]


@pytest.fixture(scope="session")
def measured_template(tmp_path_factory: pytest.TempPathFactory, digit_models: list[str]) -> Path:
    """A run that was fitted and swept. Not to be changed; `measured` is a copy."""
    from stitchable.runs.config import DataConfig, FitConfig, RunConfig, SweepConfig
    from stitchable.runs.fit import fit_run
    from stitchable.runs.folder import RunFolder
    from stitchable.runs.sweep import sweep_run

    run = RunFolder(tmp_path_factory.mktemp("template") / "run")
    data = DataConfig(train="digits:train", val="digits:val")
    fit_run(run, RunConfig(anchors=digit_models, data=data, fit=FitConfig(images=60)))
    sweep_run(run, data=data, options=SweepConfig(images=40))
    return run.path


@pytest.fixture
def measured(measured_template: Path, tmp_path: Path) -> Path:
    """A run of one's own that was fitted and swept: a copy."""
    return Path(shutil.copytree(measured_template, tmp_path / "run"))


@pytest.fixture
def fitted(measured: Path) -> Path:
    """A run of one's own that was fitted and no more."""
    (measured / "curve_fitted.jsonl").unlink()
    return measured


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """All files below a folder with their bytes, to compare before and after."""

    def read(folder: Path) -> dict[str, bytes]:
        found = {}
        for path in sorted(folder.rglob("*")):
            found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else b"a folder"
        return found

    return read


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Writer of a folder of grey 8×8 images, eight per class."""
    from PIL import Image

    def write(name: str, classes: tuple[str, ...] = ("ant", "bee")) -> Path:
        for label, word in enumerate(classes):
            (tmp_path / name / word).mkdir(parents=True)
            for number in range(8):
                Image.new("L", (8, 8), 20 * number + label).save(tmp_path / name / word / f"{number}.png")
        return tmp_path / name

    return write


@pytest.fixture
def corrupt(photos: Callable[..., Path]) -> Path:
    """Photos of which bee/3.png breaks off."""
    root = photos("corrupt")
    broken = root / "bee" / "3.png"
    broken.write_bytes(broken.read_bytes()[:40])
    return root


def _one_of_several(
    rank: int, count: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    import torch

    from stitchable.ranks import joined

    torch.set_num_threads(1)
    own = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_PORT": port}
    os.environ.update({"MASTER_ADDR": "localhost", **{name: str(value) for name, value in own.items()}})
    with joined(timeout_seconds=60) as ranks:
        work(ranks, *arguments)


@pytest.fixture
def in_processes() -> Callable[..., None]:
    """Runs ``work(ranks, *arguments)``, a function of a module, in so many processes that meet over gloo.

    Where one of them dies, the others have a minute to end by themselves.
    """
    import torch.multiprocessing as processes

    def run(count: int, work: Callable[..., None], *arguments: Any) -> None:
        multiprocessing.set_forkserver_preload(
            ["timm", "stitchable.network", "stitchable.runs.train"]
        )  # imported once, not by each
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        started = processes.start_processes(
            _one_of_several,
            (count, port, work, arguments),
            nprocs=count,
            join=False,
            start_method="forkserver",
        )
        while not started.join(grace_period=60):
            pass

    return run


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A disk on which no file can grow beyond so many bytes, for a while."""
    resource = pytest.importorskip("resource", reason="limits of a process are Unix's")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # Python ignores the signal: an OSError
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
