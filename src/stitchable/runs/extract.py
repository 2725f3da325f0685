"""One stitch of a run as a folder of its own."""

from __future__ import annotations

from pathlib import Path

import torch

from stitchable.device import choose_device
from stitchable.errors import StitchError
from stitchable.evaluation.extract import extract_calibrated
from stitchable.network import StitchedNetwork
from stitchable.runs.calibration import calibration_batches, calibration_options
from stitchable.runs.config import DataConfig, SweepConfig
from stitchable.runs.folder import RunFolder
from stitchable.subnetwork import Subnetwork


def extract_run(
    run: RunFolder,
    stitch: str,
    out: Path,
    *,
    data: DataConfig | None = None,
    options: SweepConfig | None = None,
    device: str = "auto",
    trust_code: bool = False,
) -> Subnetwork:
    """Write one stitch of a run as a folder of its own, read it back and compare.

    Args:
        run: A run that was fitted, best a trained one.
        stitch: Its id, or an anchor's name.
        out: A new or empty folder.
        data: Its ``train`` images are used where the stitch has BatchNorm behind a joint.
        options: ``calibration_images`` and ``batch_size`` say how the statistics of these layers are
            adjusted, as the sweep does; 0 images keep the network's, and so does a network that was trained
            with frozen statistics unless they name a number.
        device: Where they are adjusted.
        trust_code: Allow the run's own architecture files to run.

    Raises:
        StitchError: The stitch is not in the space, the folder is in use, images are needed and not named,
            or what was read back differs.
    """
    run.require()
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise StitchError(f"{out} is not empty. Name a new folder for the stitch.")
    network = StitchedNetwork.from_pretrained(run.weights, trust_code=trust_code)
    sub = network.extract(stitch)
    spec = network.input_spec
    images = torch.randn((2, *spec.size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        _demand(torch.equal(sub(images), network(images, stitch)), "The extracted module", stitch)
        chosen = calibration_options(options or SweepConfig(), run, trained=run.is_trained)
        batches = calibration_batches(network, [sub.stitch], data or DataConfig(), chosen)
        if batches is not None:
            sub = extract_calibrated(network.to(choose_device(device)), stitch, batches).to("cpu")
        expected = sub(images)
        sub.save_pretrained(out)
        back = Subnetwork.from_pretrained(out, trust_code=True)  # the code is the run's, just allowed
        _demand(torch.equal(back(images), expected), str(out), stitch)
    return back


def _demand(same: bool, what: str, stitch: str) -> None:
    if not same:
        raise StitchError(f"{what} does not compute what {stitch} computes. Please report this.")
