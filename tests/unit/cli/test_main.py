import importlib
import json
import subprocess
import sys

import pytest

from stitchable import __version__
from stitchable.cli import info
from stitchable.cli.main import COMMANDS, USAGE, main
from stitchable.errors import StitchError


def process(*words, code=None):
    command = [sys.executable, *(["-c", code] if code else ["-m", "stitchable"]), *words]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_the_commands_are_listed(run, words):
    assert run(*words) == USAGE + "\n"
    for name, text in COMMANDS.items():
        assert f"  {name:<10} {text}" in USAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_listed_is_there(name):
    assert callable(importlib.import_module(f"stitchable.cli.{name}").run)


def test_help_of_every_command_loads_no_torch():
    """One process asks for all of them in turn and says after each what it has loaded."""
    code = """
import contextlib, io, json, sys
from stitchable.cli.main import main
found = {}
for words in json.loads(sys.argv[1]):
    printed, left = io.StringIO(), 0
    with contextlib.redirect_stdout(printed):
        try:
            main(words)
        except SystemExit as leaving:
            left = leaving.code
    heavy = sorted({"torch", "timm", "torchvision", "matplotlib"} & sys.modules.keys())
    found[words[0]] = [left, heavy, printed.getvalue()]
print(json.dumps(found))
"""
    words = [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]
    done = process(json.dumps(words), code=code)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found.keys() == {"--help", "--version", *COMMANDS}
    for name, (left, heavy, printed) in found.items():
        assert left == 0, name
        assert heavy == [], name
        if name in COMMANDS:
            assert printed.split("\n")[0].startswith(f"usage: stitchable {name}")


@pytest.mark.parametrize("first", [["--version"], ["--debug", "--version"]])
def test_the_module_is_the_command(first):
    done = process(*first)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"stitchable {__version__}\n", "")


def test_an_unknown_command_is_told_its_nearest(refused):
    assert refused("swep") == "Unknown command 'swep'. Nearest: sweep."
    assert refused("--verbose").startswith("Unknown command '--verbose'.")
    assert "Allowed: info, demo" in refused("zzz")


def fail_with(monkeypatch, error):
    def run(words):
        raise error

    monkeypatch.setattr(info, "run", run)


def test_a_mistake_is_one_line_however_it_is_written(monkeypatch, refused):
    fail_with(monkeypatch, StitchError("First this.\n\n   Then\tthat."))
    assert refused("info") == "First this. Then that."


@pytest.mark.parametrize("words", [["info", "--debug"], ["--debug", "info"]])
def test_debug_lets_the_trace_through(monkeypatch, words):
    fail_with(monkeypatch, StitchError("First this."))
    with pytest.raises(StitchError, match=r"^First this\.$"):
        main(words)
    fail_with(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        main(words)


def test_debug_shows_the_trace():
    plain, traced = (
        process("pick", "nowhere", "--macs", "1M"),
        process("pick", "nowhere", "--macs", "1M", "--debug"),
    )
    assert plain.returncode == 2
    assert plain.stderr.splitlines() == [
        "stitchable: nowhere holds no run: it has no config.yaml. Make one with 'stitchable fit'."
    ]
    assert traced.returncode == 1
    assert traced.stderr.startswith("Traceback")
    assert "stitchable.errors.StitchError: nowhere holds no run" in traced.stderr
    assert plain.stdout == traced.stdout == ""


def test_an_interruption_is_one_line_too(monkeypatch, capsys):
    fail_with(monkeypatch, KeyboardInterrupt())
    with pytest.raises(SystemExit) as left:
        main(["info"])
    assert left.value.code == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("stitchable: interrupted")


def test_other_errors_are_ours_to_mend_and_keep_their_trace(monkeypatch):
    fail_with(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["info"])


def test_a_reader_that_leaves_is_no_mistake():
    with subprocess.Popen(
        [sys.executable, "-m", "stitchable", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        command.stdout.close()
        told = command.stderr.read()
        assert command.wait() == 0
    assert told == b""
