"""One stitch of a run as a folder of its own."""

from __future__ import annotations

from pathlib import Path

import torch

from stitchable.errors import StitchError
from stitchable.network import StitchedNetwork
from stitchable.runs.folder import RunFolder
from stitchable.subnetwork import Subnetwork


def extract_run(run: RunFolder, stitch: str, out: Path, *, trust_code: bool = False) -> Subnetwork:
    """Write one stitch of a run as a folder of its own, read it back and compare.

    Args:
        run: A run that was fitted, best a trained one.
        stitch: Its id, or an anchor's name.
        out: A new or empty folder.
        trust_code: Allow the run's own architecture files to run.

    Raises:
        StitchError: The stitch is not in the space, the folder is in use, or what was read back differs.
    """
    run.require()
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise StitchError(f"{out} is not empty. Name a new folder for the stitch.")
    network = StitchedNetwork.from_pretrained(run.weights, trust_code=trust_code)
    sub = network.extract(stitch)
    sub.save_pretrained(out)
    back = Subnetwork.from_pretrained(out, trust_code=True)  # the code is the run's, just allowed
    spec = network.input_spec
    images = torch.randn((2, *spec.size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if not torch.equal(back(images), network(images, stitch)):
            raise StitchError(
                f"{out} does not compute what {stitch} computes in the network. Please report this."
            )
    return back
