import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stitchable.data.folder import FolderImages
from stitchable.data.sources import open_images
from stitchable.errors import StitchError


@pytest.fixture
def digits(monkeypatch):
    """A stand-in for the reader of digits: the split decides how many there are."""

    def read(split):
        count = {"train": 5, "val": 3}[split]
        return torch.rand(count, 1, 8, 8), torch.arange(count)

    monkeypatch.setitem(sys.modules, "stitchable.data.digits", SimpleNamespace(digits=read))


def write_rows(parquet, picture, labels, name):
    import datasets

    features = {"img": datasets.Image(), "label": datasets.Value("int64")}
    return parquet({"img": [picture() for _ in labels], "label": labels}, features, name=name)


def test_image_folder(folder):
    assert len(open_images(folder)) == len(open_images(str(folder))) == 9
    assert isinstance(open_images(folder), FolderImages)


def test_image_folder_with_splits(tmp_path, folder):
    folder.rename(tmp_path / "val")
    assert len(open_images(tmp_path, split="val")) == 9
    with pytest.raises(StitchError, match=r"has no split 'vla'. Nearest: val."):
        open_images(tmp_path, split="vla")
    with pytest.raises(StitchError, match="holds splits"):
        open_images(tmp_path)


def test_parquet_file(parquet, picture):
    path = write_rows(parquet, picture, [4, 2], "one.parquet")
    assert open_images(path).labels.tolist() == [4, 2]
    with pytest.raises(StitchError, match="is one file, without split 'train'"):
        open_images(path, split="train")


@pytest.mark.parametrize("inside", ["rows", "rows/data"])
def test_parquet_folder_with_splits(parquet, picture, tmp_path, inside):
    write_rows(parquet, picture, [0, 1], f"{inside}/train-00000-of-00002.parquet")
    write_rows(parquet, picture, [2], f"{inside}/train-00001-of-00002.parquet")
    write_rows(parquet, picture, [3], f"{inside}/test.parquet")
    assert open_images(tmp_path / "rows", split="train").labels.tolist() == [0, 1, 2]
    assert open_images(tmp_path / "rows", split="test").labels.tolist() == [3]
    with pytest.raises(StitchError, match=r"holds the splits test, train\. Say which"):
        open_images(tmp_path / "rows")
    with pytest.raises(StitchError, match="no split 'val'"):
        open_images(tmp_path / "rows", split="val")


def test_parquet_folder_without_splits_is_read_whole(parquet, picture, tmp_path):
    write_rows(parquet, picture, [0], "rows/0000.parquet")
    write_rows(parquet, picture, [1], "rows/0001.parquet")
    assert open_images(tmp_path / "rows").labels.tolist() == [0, 1]


def test_digits(digits):
    source = open_images("digits:train")
    assert len(source) == 5
    assert len(open_images("digits", split="val")) == len(open_images("digits:val", split="val")) == 3
    assert source.classes == tuple("0123456789")
    assert not source.mirrored_means_same
    assert source[2][0].shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("path", "split", "text"),
    [
        ("digits", None, "'digits' names no split.*digits:train, digits:val"),
        ("digits:test", None, "'digits:test' names no split"),
        ("digits:train", "val", "contradict each other"),
    ],
)
def test_digits_refuses(digits, path, split, text):
    with pytest.raises(StitchError, match=text):
        open_images(path, split=split)


def test_a_path_called_digits_is_a_path(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    folder.rename("digits")
    assert len(open_images("./digits")) == len(open_images(Path("digits"))) == 9


def test_missing_path_says_what_is_allowed(tmp_path):
    with pytest.raises(StitchError, match=r"No images at .*nowhere\. Give a folder of CLASS/image.jpg"):
        open_images(tmp_path / "nowhere")


def test_file_of_another_kind(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"")
    with pytest.raises(StitchError, match=r"x\.zip is neither parquet nor a tar shard"):
        open_images(tmp_path / "x.zip")


def test_empty_folder(tmp_path):
    with pytest.raises(StitchError, match="holds no class folders"):
        open_images(tmp_path)


@pytest.mark.data
def test_clothing(shared_data):
    source = open_images(shared_data / "clothing", split="test")
    assert len(source) == 372
    assert source.classes is not None
    assert len(source.classes) == 10
