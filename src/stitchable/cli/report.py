"""``stitchable report``: one page and figures."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.cli.arguments import command_parser, parse


def run(words: Sequence[str]) -> None:
    """Write the report of a run again."""
    parser = command_parser("report", "One self-contained page, and figures, from a run's curve.")
    parser.add_argument("run", type=str, help="Folder of the run.")
    parser.add_argument("--title", type=str | None, default=None, help="Of the page and the figure.")
    parser.add_argument("--stitch", type=str | None, default=None, help="Stitch whose path is shown first.")
    arguments = parse(parser, words)

    from stitchable.runs.folder import RunFolder
    from stitchable.runs.report import report_run

    folder = RunFolder(arguments.run)
    print(f"report   {report_run(folder, title=arguments.title, chosen=arguments.stitch)}")
    for figure in folder.figures:
        print(f"figure   {figure}")
