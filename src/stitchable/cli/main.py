"""The command ``stitchable``: finds the command asked for and turns mistakes into one line."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Sequence

from stitchable import __version__
from stitchable.cli.skipped import naming_skipped_images
from stitchable.errors import Interrupted, SharedError, StitchError, nearest

COMMANDS = {
    "info": "versions, devices and the families of models that can be stitched",
    "demo": "the whole job on handwritten digits, in under two minutes",
    "inspect": "blocks, features and costs of models, and what can be joined",
    "similarity": "how alike models are cut by cut, the joints that follow, and what they reach",
    "finetune": "fit one model to your own classes and image size, before stitching",
    "space": "the stitches of some anchors with their costs",
    "fit": "join anchors and initialise the stitching layers: a new run",
    "reassemble": "new networks of the parts of a zoo, within bounds: a new run",
    "train": "train the joint network of a run",
    "sweep": "measure accuracy against cost for every stitch of a run",
    "profile": "measure latency and memory of a run's stitches on this device",
    "predict": "accuracies after training, predicted, and how far that can be believed",
    "search": "good stitches in a budget, where there are too many to sweep",
    "pick": "the best stitch for a budget",
    "menu": "a few well-spaced stitches that are worth having",
    "seeds": "mean and spread of the curves of several runs that differ in their seed",
    "report": "one page and figures from a run's curve",
    "extract": "one stitch of a run as a small plain model",
}

USAGE = "\n".join(
    [
        "usage: stitchable COMMAND [arguments]",
        "",
        "From a family of pretrained models to a menu of deployable ones.",
        "",
        "commands:",
        *(f"  {name:<10} {text}" for name, text in COMMANDS.items()),
        "",
        "stitchable COMMAND --help shows a command's arguments; --debug shows the trace of an error.",
    ]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: The words behind ``stitchable``; those of the process where left out.

    Exits with 0, with 2 after a mistake that one line explains, or with 130 (Ctrl-C) or 143
    (SIGTERM) after an interruption.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with naming_skipped_images():
            _dispatch(words)
        sys.stdout.flush()
    except StitchError as error:
        if debug:
            raise
        if isinstance(error, SharedError) and error.told:
            time.sleep(1)  # once one process has ended, torchrun ends those that have yet to speak
            raise SystemExit(2) from None
        print(f"stitchable: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except Interrupted as error:
        if debug:
            raise
        if str(error):
            print(f"stitchable: {' '.join(str(error).split())}", file=sys.stderr)
        else:
            time.sleep(1)  # as above
        raise SystemExit(128 + error.signal) from None
    except KeyboardInterrupt:
        if debug:
            raise
        print("stitchable: interrupted; what the run had finished before is kept.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our output, such as `head`, has gone; that is no mistake, and Python's own
        # flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:  # a full disk, a folder that may not be written
        if debug:
            raise
        print(f"stitchable: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


def _dispatch(words: Sequence[str]) -> None:
    if not words or words[0] in {"-h", "--help"}:
        print(USAGE)
    elif words[0] == "--version":
        print(f"stitchable {__version__}")
    elif words[0] in COMMANDS:
        importlib.import_module(f"stitchable.cli.{words[0]}").run(words[1:])
    else:
        raise StitchError(f"Unknown command {words[0]!r}. {nearest(words[0], COMMANDS)}")
