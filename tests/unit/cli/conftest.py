"""The command line, called in process: what it prints, and what it says to a mistake."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stitchable.cli.main import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that succeeds; gives its standard output. Nothing is on standard error."""

    def call(*words: object) -> str:
        capsys.readouterr()
        main([str(word) for word in words])
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return call


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that is refused; gives the one line that says why."""

    def call(*words: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        assert left.value.code == 2
        assert printed.out == ""
        line = printed.err.removesuffix("\n")
        assert line.startswith("stitchable: ")
        assert "\n" not in line
        return line.removeprefix("stitchable: ")

    return call
