"""The page in a headless Chromium, spoken to over a pipe: no console errors, the keyboard, small windows."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stitchable.evaluation.agreement import agreement
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.curve_statistics import with_statistics
from stitchable.evaluation.outcomes import Outcomes
from stitchable.report.certainty import spread_front
from stitchable.report.page import write_report
from stitchable.report.similarity_page import write_similarity_page
from stitchable.report.similarity_result import SimilarityResult
from stitchable.report.similarity_table import map_table

MakeRows = Callable[..., list[CurveRow]]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One page of a Chromium, by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol)."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM
        its_input, ours = os.pipe()
        theirs, its_output = os.pipe()
        # The browser reads commands from descriptor 3 and answers on 4.
        words = [CHROMIUM, "--headless", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        words += ["--disable-extensions", "--disable-background-networking", "--disable-component-update"]
        words += [
            f"--user-data-dir={profile}",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "about:blank",
        ]
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3</dev/fd/{its_input} 4>/dev/fd/{its_output}', "sh", *words],
            pass_fds=(its_input, its_output),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_input), os.close(its_output)
        self.ours, self.theirs = os.fdopen(ours, "wb"), os.fdopen(theirs, "rb")
        self.number, self.rest, self.session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        page = next(each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page")
        found = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser and wait for it."""
        for pipe in (self.ours, self.theirs):
            pipe.close()
        self.process.terminate()
        self.process.wait(timeout=30)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            more = os.read(self.theirs.fileno(), 1 << 16)
            assert more, "the browser has gone"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        read: dict[str, Any] = json.loads(message)
        return read

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask and wait for the answer; what happens meanwhile is kept in ``events``."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.ours.write(json.dumps(message).encode() + b"\0")
        self.ours.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, path: Path, *, width: int = 900, dark: bool = False, scripts: bool = True) -> None:
        """Load a page in a window of some width."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """Press a key as a user does."""
        codes = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36}
        codes |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        kind = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **kind)
        self.call("Input.dispatchKeyEvent", type="keyUp", **kind)

    def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        box = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": box["width"], "height": box["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """Errors and messages since the page was opened."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event) for event in self.events if event["method"] in kinds]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def page(tmp_path: Path, make_rows: MakeRows) -> Path:
    """A page with everything on it, from answers drawn by formula."""
    generator = np.random.default_rng(0)
    curve = make_rows(30)
    labels = generator.integers(0, 5, 400)
    wrong = generator.random((30, 400)) > np.array([[row.top1 / 100] for row in curve])
    predicted = np.where(wrong, (labels + 1) % 5, labels).astype(np.int32)
    confidence = generator.uniform(0.5, 1, (30, 400)).astype(np.float32)
    outcomes = Outcomes(tuple(row.stitch for row in curve), labels.astype(np.int32), predicted, confidence)
    rows = with_statistics(curve, outcomes, draws=100)
    rows[5] = replace(rows[5], calibration_error=None, worst_class=None)
    write_report(
        tmp_path / "report.html",
        title="Two anchors",
        rows=rows,
        fitted=curve,
        depths={"small": 12, "large": 12},
        facts={"Data": "digits"},
        macs_note="Multiply-accumulates.",
        agreement=agreement(outcomes, spread_front(rows)),
    )
    return tmp_path / "report.html"


def test_no_window_is_too_small_and_nothing_complains(browser: Browser, page: Path) -> None:
    for width in (400, 900, 1600):
        browser.open(page, width=width, dark=width == 900)
        assert browser.complaints() == []
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate("document.querySelectorAll('#certainty tbody tr').length") > 1
        assert browser.evaluate("document.querySelectorAll('#agreement tbody tr').length") > 1
    light = "getComputedStyle(document.body).backgroundColor"
    assert browser.evaluate(light) == "rgb(255, 255, 255)"
    browser.open(page, dark=True)
    assert browser.evaluate(light) != "rgb(255, 255, 255)"


def column(browser: Browser, name: str) -> list[float | None]:
    """Numbers of a column of the table of stitches, from top to bottom."""
    values = browser.evaluate(
        "(() => { const place = [...document.querySelectorAll('#stitches thead th')].findIndex("
        f"(head) => head.textContent.startsWith('{name}'));"
        "return [...document.querySelectorAll('#stitches tbody tr')].map((row) => row.cells[place])"
        ".map((cell) => parseFloat(cell.dataset.v || cell.textContent)).map((v) => isNaN(v) ? null : v); })()"
    )
    assert isinstance(values, list)
    return values


@pytest.mark.parametrize("name", ["Front", "Calibration", "Worst class"])
def test_the_keyboard_sorts(browser: Browser, page: Path, name: str) -> None:
    browser.open(page)
    focused = "document.activeElement.closest('th')?.textContent ?? ''"
    for _ in range(60):
        browser.press("Tab")
        if browser.evaluate(focused).startswith(name):
            break
    assert browser.evaluate(focused).startswith(name)
    before = column(browser, name)
    known = sorted(value for value in before if value is not None)
    missing = [None] * (len(before) - len(known))
    assert bool(missing) == (name != "Front")
    browser.press("Enter", "\r")
    assert column(browser, name) == [*known, *missing]
    browser.press("Enter", "\r")
    assert column(browser, name) == [*known[::-1], *missing]
    assert browser.complaints() == []


def test_without_scripts_the_numbers_are_there(browser: Browser, page: Path) -> None:
    browser.open(page, scripts=False)
    text = "document.body.innerText"
    read = browser.evaluate(text)
    for words in ("How sure is the front?", "What changes when switching", "points", "may be equal"):
        assert words in read
    assert "arrow keys" not in read


@pytest.fixture
def similarity_page(tmp_path: Path, similarity: SimilarityResult) -> Path:
    write_similarity_page(tmp_path / "page.html", similarity, facts={"Images": "90 of digits:val"})
    return tmp_path / "page.html"


def test_maps_are_read_with_the_keyboard(
    browser: Browser, similarity_page: Path, similarity: SimilarityResult
) -> None:
    for width in (400, 900):
        browser.open(similarity_page, width=width, dark=width == 400)
        assert browser.complaints() == []
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    here = "document.activeElement.dataset.t ?? ''"
    for _ in range(20):
        browser.press("Tab")
        if browser.evaluate(here):
            break
    told = map_table(similarity.maps[0]).rows
    assert browser.evaluate(here) == told[0].cells[0].told
    for key, (row, column) in (
        ("ArrowRight", (0, 1)),
        ("ArrowDown", (1, 1)),
        ("End", (1, 6)),
        ("ArrowRight", (1, 6)),
        ("ArrowUp", (0, 6)),
        ("Home", (0, 0)),
        ("ArrowLeft", (0, 0)),
    ):
        browser.press(key)
        assert browser.evaluate(here) == told[row].cells[column].told
        assert browser.evaluate("document.querySelector('.told').textContent") == told[row].cells[column].told
    browser.press("ArrowDown")
    browser.press("Tab")  # a map is one stop
    assert browser.evaluate("document.activeElement.closest('table')?.className ?? ''") != "map"
    assert browser.complaints() == []
    browser.open(similarity_page, scripts=False)
    read = browser.evaluate("document.body.innerText")
    assert "press Tab" not in read
    assert told[2].cells[3].text in read
