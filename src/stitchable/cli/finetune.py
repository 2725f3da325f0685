"""``stitchable finetune``: one model, fitted to the user's own classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from jsonargparse import Namespace

from stitchable.cli.arguments import add_sections, add_trust_code, command_parser, parse
from stitchable.runs.config import InputConfig
from stitchable.training.options import FinetuneOptions

Options = TypeVar("Options", InputConfig, FinetuneOptions)


def run(words: Sequence[str]) -> None:
    """Give a model a new classifier, train it, and save it as an anchor."""
    parser = command_parser(
        "finetune", "Fit one pretrained model to the classes of a folder of images: an anchor to stitch."
    )
    parser.add_argument("model", type=str, help="[name=]source[@weights].")
    parser.add_argument("--config", action="config", help="YAML file with any of the keys below.")
    parser.add_argument("--out", type=str, required=True, help="A new folder for the anchor.")
    parser.add_class_arguments(InputConfig)
    parser.add_class_arguments(FinetuneOptions)
    add_sections(parser, "data")
    add_trust_code(parser)
    arguments = parse(parser, words)
    images, options = _taken(arguments, InputConfig), _taken(arguments, FinetuneOptions)

    from stitchable.cli.display import console, duration, progress
    from stitchable.runs.finetune import MeasuredEpoch, best_of, finetune_anchor

    with progress("fine-tuning") as bar:
        task = bar.add_task("", total=None)

        def epoch_done(epoch: MeasuredEpoch) -> None:
            console.print(
                f"epoch {epoch.epoch + 1:>2} ({epoch.trained})  loss {epoch.loss:.3f}  "
                f"held out {epoch.top1:.2f} %  {duration(epoch.seconds)}"
            )

        epochs = finetune_anchor(
            arguments.model,
            Path(arguments.out),
            data=arguments.data,
            images=images,
            options=options,
            seed=arguments.seed,
            device=arguments.device,
            trust_code=arguments.trust_code,
            on_start=lambda steps: bar.update(task, total=steps),
            on_step=lambda loss: bar.update(task, advance=1, description=f"loss {loss:.3f}"),
            on_epoch=epoch_done,
        )
    best = best_of(epochs)
    console.print(
        f"best    epoch {best.epoch + 1}: {best.top1:.2f} % of {best.images:,} held-out images "
        f"({best.top1_low:.1f} to {best.top1_high:.1f})\n"
        f"anchor  {arguments.out}\n"
        f"next    stitchable fit --anchors {arguments.out},… --run …"
    )


def _taken(arguments: Namespace, kind: type[Options]) -> Options:
    return kind(**{field.name: arguments[field.name] for field in fields(kind)})
