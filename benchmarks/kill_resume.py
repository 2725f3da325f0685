"""Kill -9 a training at random moments, go on, and compare with the training that nobody killed.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import machine, print_table, write
from stitchable.demo.family import digit_anchors
from stitchable.runs.config import DataConfig, FitConfig, RunConfig
from stitchable.runs.fit import fit_run
from stitchable.runs.folder import RunFolder

OPTIONS = {
    "epochs": 6,
    "batch_size": 50,
    "lr": 3e-3,
    "augment": "crop",
    "ema": 0.99,
    "checkpoint.every_steps": 2,
}


def start(run: Path) -> subprocess.Popen[bytes]:
    """``stitchable train RUN``, as a user starts it and starts it again."""
    words = [f"--train.{name}={value}" for name, value in OPTIONS.items()]
    command = [sys.executable, "-m", "stitchable", "train", str(run), *words, "--data.memory=true"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(run: Path) -> str:
    """Train to the end; what the command printed."""
    process = start(run)
    printed = process.communicate()[0].decode()
    if process.returncode:
        raise SystemExit(f"the training itself failed: {printed}")
    return printed


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
    while process.poll() is None and not steps_done(run):
        time.sleep(0.001)
    time.sleep(seconds)
    while while_writing and process.poll() is None and not writing(run):
        pass
    process.kill()
    process.communicate()
    return {
        "steps_logged": steps_done(run),
        "checkpoint_half_written": writing(run),
        "exit": process.returncode,
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
    draw, results = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as folder:
        data = DataConfig(train="digits:train", val="digits:val", memory=True)
        fitted, whole = Path(folder, "fitted"), Path(folder, "whole")
        config = RunConfig(anchors=["a", "b", "c"], data=data, fit=FitConfig(images=200), device="cpu")
        fit_run(RunFolder(fitted), config, digit_anchors())
        shutil.copytree(fitted, whole)
        finish(whole)
        expected = outcome(whole)
        duration = json.loads((whole / "train_summary.json").read_text())["seconds"]
        for number in range(options.kills):
            run = Path(folder, "killed")
            shutil.copytree(fitted, run)
            seconds, while_writing = draw.uniform(0, duration), number % 2 == 1
            killed = kill_one(
                run, seconds=seconds if not while_writing else 0.8 * seconds, while_writing=while_writing
            )
            told = [line for line in finish(run).splitlines() if "going on after" in line]
            found = outcome(run)
            results.append(
                {
                    **killed,
                    "resumed_from_step": int(told[0].split()[4].rstrip(",")) if told else 0,
                    "weights_equal": found[0] == expected[0],
                    "log_equal": found[1] == expected[1],
                    "counts_equal": found[2] == expected[2],
                }
            )
            print(results[-1], flush=True)
            shutil.rmtree(run)
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
        settings = {"kills": options.kills, "seed": options.seed, "steps": len(expected[1]), **OPTIONS}
        summary = {"killed": dead, "while_writing": torn, "equal": equal}
        content = {"benchmark": "kill_resume", "machine": machine(), "settings": settings}
        write(options.out, {**content, "summary": summary, "results": results})
    if equal < len(results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
