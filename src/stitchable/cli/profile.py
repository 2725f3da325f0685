"""``stitchable profile``: latency and memory of a run's stitches on this device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, TypeVar, cast

from stitchable.cli.arguments import add_trust_code, command_parser, parse
from stitchable.errors import StitchError

if TYPE_CHECKING:
    from stitchable.evaluation.device_cost import Condition, Runtime

Word = TypeVar("Word")


def run(words: Sequence[str]) -> None:
    """Measure parts, predict stitches, check the prediction."""
    parser = command_parser("profile", "Measure what the stitches of a run cost on this device.")
    parser.add_argument("run", type=str, help="Folder of the run.")
    parser.add_argument("--batch", type=str, default="1", help="Images per call; several by commas: 1,16.")
    parser.add_argument(
        "--dtype", type=str, default="float32", help="float32, bfloat16, float16; several too."
    )
    parser.add_argument("--threads", type=str, default="auto", help="Of the processor; several too: 1,4.")
    parser.add_argument(
        "--runtime", type=str, default="eager", help="eager, compiled, onnxruntime; several too."
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or mps.")
    parser.add_argument("--check", type=int, default=8, help="Stitches to measure whole, for the error.")
    parser.add_argument("--seconds", type=float, default=20.0, help="How long to measure each condition.")
    add_trust_code(parser)
    arguments = parse(parser, words)
    if arguments.check < 0 or not arguments.seconds >= 0:
        raise StitchError(
            f"Got --check {arguments.check} and --seconds {arguments.seconds:g}; both must be 0 or more."
        )

    from stitchable.cli.device_table import print_costs
    from stitchable.cli.display import console, progress
    from stitchable.evaluation.curve import read_curve
    from stitchable.runs.folder import RunFolder
    from stitchable.runs.profile import profile_run

    folder = RunFolder(arguments.run)
    folder.require()
    conditions = _conditions(arguments.device, arguments)
    with progress("profile") as bar:
        task = bar.add_task("", total=100)
        found = profile_run(
            folder,
            conditions,
            check=arguments.check,
            seconds=arguments.seconds,
            trust_code=arguments.trust_code,
            on_condition=lambda each: bar.reset(task, total=100, description=str(each)),
            on_progress=lambda share: bar.update(task, completed=round(100 * share)),
        )
    rows = read_curve(folder.latest_curve) if folder.latest_curve.is_file() else None
    for costs in found:
        print_costs(costs, rows)
    console.print(f"profile  {folder.profile}")
    if rows is not None:
        from stitchable.runs.report import report_run

        console.print(f"report   {report_run(folder)}")


def _conditions(device: str, arguments: object) -> list[Condition]:
    """Every combination of what was asked for, in the order of the words."""
    import torch

    from stitchable.device import choose_device
    from stitchable.evaluation.device_cost import Condition

    where = choose_device(device).type
    given = vars(arguments)
    threads = str(torch.get_num_threads()) if given["threads"] == "auto" else given["threads"]
    words = product(
        _listed("runtime", given["runtime"], str),
        _listed("dtype", given["dtype"], str),
        _listed("batch", given["batch"], int),
        _listed("threads", threads, int),
    )
    return [
        Condition(where, cast("Runtime", runtime), dtype, batch, number)  # words are checked by what measures
        for runtime, dtype, batch, number in words
    ]


def _listed(name: str, text: str, read: Callable[[str], Word]) -> list[Word]:
    """Words between commas, each once."""
    try:
        return list(dict.fromkeys(read(word.strip()) for word in text.split(",")))
    except ValueError:
        raise StitchError(f"--{name} is a list of whole numbers such as 1,16; got {text!r}.") from None
