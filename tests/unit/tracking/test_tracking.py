import json
import sys

import pytest

from stitchable.errors import StitchError
from stitchable.tracking.options import TrackOptions
from stitchable.tracking.tracking import Tracking


class Notebook:
    """A tracker that keeps what it is told, and fails where it is asked to."""

    def __init__(self, fails_at=None):
        self.fails_at, self.run, self.points, self.end = fails_at, None, [], None

    def _fail(self, place):
        if place == self.fails_at:
            raise ConnectionError("no route\nto host")

    def start(self, run):
        self._fail("start")
        self.run = run
        return run.id or "page 1"

    def log(self, values, *, step):
        self._fail(step)
        self.points.append((step, values["loss"]) if "loss" in values else (step, values))

    def finish(self, status, summary):
        self._fail("finish")
        self.end = status, summary


def test_a_library_is_told_the_run_the_points_and_the_end(follow, tmp_path):
    notebook = Notebook()
    follow("wandb", 0, 8, every=4, trackers={"wandb": notebook})
    run = notebook.run
    assert (run.name, run.project, run.folder) == ("a run", "of-the-tests", tmp_path / "tracking" / "wandb")
    assert (run.config["train"]["lr"], run.done, run.id) == (0.1, 0, None)
    drop = {"anchor_top1/small": 90.0, "anchor_drop/small": 0.5}
    assert notebook.points == [(4, 1.5), (4, drop), (8, 5.5), (8, drop)]
    assert notebook.end[0] == "finished"
    assert notebook.end[1]["steps"] == 8


def test_a_training_that_goes_on_names_its_run(follow):
    first, second, third = Notebook(), Notebook(), Notebook()
    follow("wandb", 0, 6, every=4, trackers={"wandb": first})
    assert first.end == ("interrupted", {})
    assert first.points[-1] == (6, 4.5)  # steps 4 and 5
    follow("wandb", 4, 8, every=4, trackers={"wandb": second})
    assert (second.run.id, second.run.done) == ("page 1", 4)
    follow("wandb", 0, 8, every=4, trackers={"wandb": third})
    assert third.run.id is None  # begun anew


@pytest.mark.parametrize("place", [3, "finish"])
def test_a_library_that_fails_is_named_once_and_the_others_go_on(follow, place):
    broken, whole = Notebook(fails_at=place), Notebook()
    with pytest.warns(
        UserWarning, match=r"^wandb failed after \d steps .* ConnectionError \(no route\)\.$"
    ) as told:
        follow("wandb", 0, 8, trackers={"wandb": broken, "mlflow": whole})
    assert len(told) == 1
    assert [step for step, _ in broken.points] == [1, 2] if place == 3 else len(broken.points) == 10
    assert len(whole.points) == 10
    assert whole.end[0] == "finished"


def test_a_failed_training_is_called_so(tmp_path):
    notebook = Notebook()
    tracking = Tracking(TrackOptions(), tmp_path, name="a run", trackers={"wandb": notebook})
    tracking.start({}, done=0)
    with pytest.raises(StitchError), tracking:
        raise StitchError("The loss is nan.")
    assert notebook.end == ("failed", {})


def test_what_cannot_begin_is_refused_and_what_cannot_go_on_is_not(follow):
    with pytest.raises(
        StitchError, match=r"^wandb cannot track this training: ConnectionError \(no route\)\.$"
    ):
        follow("wandb", 0, 8, trackers={"wandb": Notebook(fails_at="start")})
    follow("wandb", 0, 4, trackers={"wandb": Notebook()})
    with pytest.warns(UserWarning, match="wandb failed after 4 steps"):
        follow("wandb", 4, 8, trackers={"wandb": Notebook(fails_at="start")})


def test_a_library_keeps_its_run_though_it_could_not_go_on_once(follow, tmp_path):
    follow("wandb", 0, 4, trackers={"wandb": Notebook()})
    with pytest.warns(UserWarning, match="wandb failed"):
        follow("wandb", 4, 6, trackers={"wandb": Notebook(fails_at="start")})
    assert json.loads((tmp_path / "tracking" / "ids.json").read_text()) == {"wandb": "page 1"}


def test_nothing_is_made_where_nobody_follows(follow, tmp_path):
    follow("", 0, 8)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("library", ["tensorboard", "wandb", "trackio", "mlflow"])
def test_a_library_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)  # how Python itself marks what cannot be imported
    with pytest.raises(StitchError, match=rf"Run: pip install 'stitchable\[{library}\]'"):
        Tracking(TrackOptions(library), tmp_path, name="a run")


def test_options_are_checked():
    assert TrackOptions("wandb,, mlflow,wandb").libraries == ["wandb", "mlflow"]
    assert TrackOptions(["mlflow"]).libraries == ["mlflow"]
    with pytest.raises(StitchError, match=r"Unknown track\.to 'tensorbord'\. Nearest: tensorboard\."):
        TrackOptions("tensorbord")
    with pytest.raises(StitchError, match=r"track\.every must be at least 1; got 0\."):
        TrackOptions(every=0)
