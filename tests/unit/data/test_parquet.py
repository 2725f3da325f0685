import io
import pickle
import socket
import sys

import numpy as np
import pytest

from stitchable.data import parquet as module
from stitchable.data.parquet import ParquetImages
from stitchable.errors import StitchError

datasets = pytest.importorskip("datasets", reason="the parquet extra is not installed")
NAMES = ["ant", "bee", "cat"]


def features(**others):
    return {"img": datasets.Image(), "label": datasets.ClassLabel(names=NAMES), **others}


def encoded(image, *, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_images_labels_and_classes(parquet, picture):
    pictures = [picture(seed=seed) for seed in range(5)]
    path = parquet({"img": pictures, "label": [2, 0, 1, 1, 0]}, features())
    source = ParquetImages([path])
    assert source.classes == ("ant", "bee", "cat")
    assert source.labels.tolist() == [2, 0, 1, 1, 0]
    assert len(source) == 5
    for index, expected in enumerate(pictures):
        image, label = source[index]
        assert np.array_equal(np.asarray(image), np.asarray(expected))
        assert label == source.labels[index]


def test_plain_bytes_and_whole_numbers_are_found_by_name(parquet, picture):
    whole = {
        "id": datasets.Value("int64"),
        "image": datasets.Value("binary"),
        "fine_label": datasets.Value("int32"),
    }
    columns = {"id": [9, 8], "image": [encoded(picture()), encoded(picture(seed=1))], "fine_label": [7, 3]}
    source = ParquetImages([parquet(columns, whole)])
    assert source.classes is None
    assert source.labels.tolist() == [7, 3]
    assert np.array_equal(np.asarray(source[1][0]), np.asarray(picture(seed=1)))


def test_fine_labels_come_before_coarse_ones(parquet, picture):
    both = {
        "img": datasets.Image(),
        "coarse_label": datasets.ClassLabel(names=["insect", "pet"]),
        "fine_label": datasets.ClassLabel(names=NAMES),
    }
    source = ParquetImages([parquet({"img": [picture()], "coarse_label": [1], "fine_label": [2]}, both)])
    assert source.classes == tuple(NAMES)


def test_several_files_are_one_source_and_errors_name_the_file(parquet, picture):
    whole = {"img": datasets.Value("binary"), "label": datasets.ClassLabel(names=NAMES)}
    good, bad = encoded(picture()), encoded(picture(rows=200, columns=200), kind="JPEG")[:5000]
    first = parquet({"img": [good, good], "label": [0, 1]}, whole, name="train-0.parquet")
    second = parquet({"img": [good, bad, None], "label": [2, 0, 0]}, whole, name="train-1.parquet")
    source = ParquetImages([first, second])
    assert source.labels.tolist() == [0, 1, 2, 0, 0]
    with pytest.raises(StitchError, match=r"Row 1 \(from 0\) of .*train-1.parquet does not read as an image"):
        source[3]
    with pytest.raises(
        StitchError, match=r"Row 2 \(from 0\) of .*train-1.parquet does not .*it holds no bytes"
    ):
        source[4]


def test_a_path_with_brackets_is_a_path(parquet, picture):
    path = parquet({"img": [picture()], "label": [0]}, features(), name="runs[1]*/x.parquet")
    assert len(ParquetImages([path])) == 1


def test_a_file_written_again_is_read_again(parquet, picture):
    path = parquet({"img": [picture()], "label": [0]}, features())
    assert ParquetImages([path]).labels.tolist() == [0]
    parquet({"img": [picture(), picture()], "label": [1, 2]}, features())
    assert ParquetImages([path]).labels.tolist() == [1, 2]


def test_survives_the_way_to_a_worker(parquet, picture):
    source = ParquetImages([parquet({"img": [picture()], "label": [1]}, features())])
    there = pickle.loads(pickle.dumps(source))
    assert there.classes == source.classes
    assert np.array_equal(np.asarray(there[0][0]), np.asarray(picture()))


@pytest.mark.parametrize(
    ("columns", "kinds", "text"),
    [
        ({"text": ["a"], "label": [0]}, {"text": "string", "label": "int64"}, "no image column.*text, label"),
        ({"img": [b"a"], "name": ["x"]}, {"img": "binary", "name": "string"}, "no label column.*img, name"),
        ({"img": [b"a"], "label": ["x"]}, {"img": "binary", "label": "string"}, "no label column"),
        ({"img": [], "label": []}, {"img": "binary", "label": "int64"}, "holds no rows"),
        (
            {"img": [b"a"], "label": [None]},
            {"img": "binary", "label": "int64"},
            r"Row 0 .* no label \(None\)",
        ),
        ({"img": [b"a"], "label": [-1]}, {"img": "binary", "label": "int64"}, r"Row 0 .* no label \(-1\)"),
    ],
)
def test_refuses(parquet, columns, kinds, text):
    path = parquet(columns, {name: datasets.Value(kind) for name, kind in kinds.items()})
    with pytest.raises(StitchError, match=text):
        ParquetImages([path])


def test_a_file_that_is_not_parquet(parquet, tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(StitchError, match=r"broken\.parquet does not read as parquet") as error:
        ParquetImages([path])
    assert "\n" not in str(error.value)


def test_missing_package_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(StitchError, match=r"pip install 'stitchable\[parquet\]'"):
        ParquetImages([tmp_path / "x.parquet"])


def test_no_network_and_no_progress_bar(parquet, picture, monkeypatch, capsys):
    path = parquet({"img": [picture()], "label": [0]}, features())
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address) or [])
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    shown = not datasets.are_progress_bars_disabled()
    ParquetImages([path])[0]
    assert asked == []
    assert capsys.readouterr() == ("", "")
    assert shown == (not datasets.are_progress_bars_disabled())


def test_nothing_is_copied_unless_asked(parquet, picture, monkeypatch, tmp_path):
    cache, path = tmp_path / "cache", parquet({"img": [picture()], "label": [0]}, features())
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home")
    held, copied = ParquetImages([path]), ParquetImages([path], cache=cache)
    assert not (tmp_path / "home").exists()
    assert list(cache.rglob("*.arrow"))
    assert np.array_equal(np.asarray(held[0][0]), np.asarray(copied[0][0]))
    with pytest.raises(StitchError, match=r"images\.parquet cannot be written\. Give --data\.cache"):
        ParquetImages([path], cache=path)


def test_large_files_ask_what_to_do(parquet, picture, monkeypatch):
    path = parquet({"img": [picture()], "label": [0]}, features())
    monkeypatch.setattr(module, "IN_MEMORY", path.stat().st_size)
    assert len(ParquetImages([path])) == 1
    monkeypatch.setattr(module, "IN_MEMORY", path.stat().st_size - 1)
    with pytest.raises(StitchError, match=r"--data\.cache FOLDER, or .*--data\.streaming true"):
        ParquetImages([path])


@pytest.mark.data
def test_cifar10(shared_data, parquet):
    source = ParquetImages([shared_data / "cifar10" / "test.parquet"])
    assert source.classes is not None
    assert source.classes[:2] == ("airplane", "automobile")
    assert source.labels.bincount().tolist() == [1000] * 10
    assert source[0][0].size == (32, 32)
