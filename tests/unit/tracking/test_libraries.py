"""The libraries themselves, on this machine alone: what they hold after a training that was cut off."""

import struct
import time

import pytest

STEPS = list(range(1, 9))


def test_tensorboard_holds_each_point_once(follow):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    follow("tensorboard", 0, 6)
    follow("tensorboard", 4, 8)
    folder = follow("tensorboard", 0, 8)  # and once more from the beginning
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]
    for number in ("1", "2"):
        events = EventAccumulator(str(folder / number)).Reload()
        assert [(point.step, point.value) for point in events.Scalars("loss")] == [(s, s - 1) for s in STEPS]
        assert [point.step for point in events.Scalars("anchor_drop/small")] == [4, 8]
        assert "config/text_summary" in events.Tags()["tensors"]


@pytest.mark.slow  # MLflow and its data base take longer to load than all other tests here
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # SQLAlchemy's, of what MLflow asks of it
def test_mlflow_holds_each_point_once(follow, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    follow("mlflow", 0, 6)
    folder = follow("mlflow", 4, 8)
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("of-the-tests").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "a run")
    assert run.data.params == {"train.lr": "0.1", "train.tune": "all", "anchors": "['small', 'big']"}
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(step, step - 1) for step in STEPS]
    assert run.data.metrics["summary/macs_saved_share"] == 0.25


def test_wandb_writes_what_it_is_told_offline(follow, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    follow("wandb", 0, 6)
    folder = follow("wandb", 4, 8)
    files = sorted(folder.rglob("*.wandb"))
    told = [_written(path) for path in files]
    # Offline both files are of one run; which of its double points stand is decided when they are synced.
    assert len({path.name for path in files}) == 1
    assert told == [[(s, s - 1) for s in range(1, 7)], [(s, s - 1) for s in range(5, 9)]]


def _written(path):
    """Steps and losses of a wandb file, which its own process may be writing for a while after the run."""
    for _ in range(100):
        records = list(_records(path))
        if any(record.HasField("exit") for record in records):
            break
        time.sleep(0.2)
    told = [
        {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for record in records
    ]
    return [(int(items["_step"]), float(items["loss"])) for items in told if "loss" in items]


def _records(path):
    """Those of a wandb file, in the framing of LevelDB's log."""
    from wandb.proto.wandb_internal_pb2 import Record

    raw, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(raw):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack("<HB", raw[at + 4 : at + 7])
        if at + 7 + length > len(raw):
            return  # it is being written
        whole, at = whole + raw[at + 7 : at + 7 + length], at + 7 + length
        if kind in (1, 4):  # a record that is whole, or the last part of one
            yield Record.FromString(whole)
            whole = b""
