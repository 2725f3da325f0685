"""Kill -9 a training at random moments, go on, and compare with the training that nobody killed.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from record import machine, print_table, write
from stitchable.demo.family import digit_anchors
from stitchable.runs.config import DataConfig, FitConfig, RunConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder
from stitchable.runs.train import train_run
from stitchable.training.checkpoint_options import CheckpointOptions
from stitchable.training.guard_options import GuardOptions
from stitchable.training.options import TrainOptions

OPTIONS = TrainOptions(
    epochs=3,
    batch_size=50,
    lr=3e-3,
    augment="crop",
    ema=0.99,
    interpolation=0.7,
    guard=GuardOptions(every=10, images=200, limit=0.5),
    checkpoint=CheckpointOptions(every_steps=2),
)
DATA = DataConfig(train="digits:train", val="digits:val", memory=True)


def train(path: Path, notes: Any = None) -> None:
    """Train a fitted run, or go on with it."""
    torch.set_num_threads(1)
    told = notes.put if notes else None
    train_run(RunFolder(path), data=DATA, options=OPTIONS, device="cpu", on_note=told)


def start(path: Path, notes: Any = None) -> Any:
    """The training in a process of its own. It is forked: importing torch would take longer than training."""
    process = multiprocessing.get_context("fork").Process(target=train, args=(path, notes))
    process.start()
    return process


def finish(path: Path) -> str:
    """Train to the end in a process of its own; what it said it goes on from."""
    notes = multiprocessing.get_context("fork").SimpleQueue()
    process = start(path, notes)
    process.join()
    if process.exitcode:
        raise SystemExit("the training itself failed")
    return "" if notes.empty() else str(notes.get())


def steps_done(run: RunFolder) -> int:
    """Whole lines of the log."""
    return run.training_file.read_bytes().count(b"\n") if run.training_file.is_file() else 0


def writing(run: RunFolder) -> bool:
    """Whether a checkpoint is half-written."""
    return any(run.checkpoints.glob("step_*.partial"))


def kill_one(path: Path, *, seconds: float, while_writing: bool) -> dict[str, Any]:
    """Start a training and kill it.

    Args:
        path: A fitted run.
        seconds: When, after the first step was logged.
        while_writing: Wait from then on until a checkpoint is half-written.
    """
    run, process = RunFolder(path), start(path)
    while process.is_alive() and not steps_done(run):
        time.sleep(0.001)
    time.sleep(seconds)
    while while_writing and process.is_alive() and not writing(run):
        pass
    process.kill()
    process.join()
    return {
        "steps_logged": steps_done(run),
        "checkpoint_half_written": writing(run),
        "exit": process.exitcode,
    }


def outcome(path: Path) -> tuple[bytes, list[dict[str, Any]], dict[str, int]]:
    """What must be equal: the network's file, the log without seconds, the counts."""
    run = RunFolder(path)
    lines = [json.loads(line) for line in run.train_file.read_text(encoding="utf-8").splitlines()]
    summary = json.loads(run.train_summary_file.read_text(encoding="utf-8"))
    weights = (run.network / "model.safetensors").read_bytes()
    return weights, [{**line, "seconds": None} for line in lines], summary["counts"]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # one thread leaves nothing behind that a fork would miss
    draw, results = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as folder:
        fitted, whole = Path(folder, "fitted"), Path(folder, "whole")
        config = RunConfig(anchors=["digits"], data=DATA, fit=FitConfig(images=200), device="cpu")
        fit_run(RunFolder(fitted), config, digit_anchors())
        shutil.copytree(fitted, whole)
        finish(whole)
        expected = outcome(whole)
        duration = json.loads((whole / "train_summary.json").read_text())["seconds"]
        while len(results) < options.kills:
            run = Path(folder, "killed")
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(fitted, run)
            seconds, while_writing = draw.uniform(0, duration), len(results) % 2 == 1
            killed = kill_one(run, seconds=seconds, while_writing=while_writing)
            if killed["exit"] == 0:
                continue  # it was done before
            told = finish(run)
            found = outcome(run)
            results.append(
                {
                    **killed,
                    "resumed_from_step": int(told.split()[4].rstrip(",")) if told else 0,
                    "weights_equal": found[0] == expected[0],
                    "log_equal": found[1] == expected[1],
                    "counts_equal": found[2] == expected[2],
                }
            )
            print(results[-1], flush=True)
    equal = sum(each["weights_equal"] and each["log_equal"] and each["counts_equal"] for each in results)
    dead = sum(each["exit"] == -9 for each in results)
    torn = sum(each["checkpoint_half_written"] for each in results)
    print_table(
        ["", "of them"],
        [
            ["killed", str(dead)],
            ["while a checkpoint was written", str(torn)],
            [f"equal in weights, log and counts, of {len(results)}", str(equal)],
        ],
    )
    if options.out:
        settings = {
            "kills": options.kills,
            "seed": options.seed,
            "steps": len(expected[1]),
            **asdict(OPTIONS),
        }
        summary = {"killed": dead, "while_writing": torn, "equal": equal}
        content = {"benchmark": "kill_resume", "machine": machine(), "settings": settings}
        write(options.out, {**content, "summary": summary, "results": results})
    if equal < len(results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
