"""Shards, parquet files and data sets of the hub as streams, against the files they were made of."""

import io
import tarfile

import numpy as np
import pytest
import torch

from stitchable.data.loader import image_loader
from stitchable.data.memory import hold_in_memory
from stitchable.data.parquet import ParquetImages, parquet_stream
from stitchable.data.shards import count_images
from stitchable.data.sources import open_images
from stitchable.data.subset import set_aside
from stitchable.data.transforms import evaluation_transform
from stitchable.errors import StitchError

datasets = pytest.importorskip("datasets", reason="the parquet extra is not installed")
COUNTS = (5, 5, 3)
TRAINING = {"batch_size": 4, "shuffle_seed": 3, "epoch": 1, "augment": "rand_augment", "drop_last": True}


def encoded(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def shards(tmp_path, picture):
    """Writes three shards, thirteen images in all; image n has seed n and label n mod 4."""

    def write(*, change=None, prefix="train", label=lambda number: str(number % 4)):
        folder, number = tmp_path / "shards", 0
        folder.mkdir(exist_ok=True)
        for shard, count in enumerate(COUNTS):
            with tarfile.open(folder / f"{prefix}-{shard:04d}.tar", "w") as tar:
                for _ in range(count):
                    image = (change or {}).get(number) or encoded(picture(seed=number))
                    members = {"png": image, "cls": label(number).encode()}
                    for ending, content in members.items():
                        member = tarfile.TarInfo(f"part/{number:03d}.{ending}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
                    number += 1
        return folder

    return write


def whole(loader):
    batches = list(loader)
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def test_shards_give_their_images_in_stored_order(shards, picture, spec):
    folder = shards()
    transform = evaluation_transform(spec)
    wanted = torch.stack([transform(picture(seed=number)) for number in range(13)])
    for text in (folder, f"{folder}/train-{{0000..0002}}.tar"):
        source = open_images(text)
        loader = image_loader(source, spec, batch_size=4)
        images, labels = whole(loader)
        assert (len(source), len(loader)) == (13, 4)
        assert torch.equal(images, wanted)
        assert labels.tolist() == [number % 4 for number in range(13)]
        few = image_loader(source, spec, batch_size=4, limit=6)
        assert torch.equal(whole(few)[0], wanted[:6])
    assert [count_images(file) for file in sorted(folder.iterdir())] == list(COUNTS)
    assert len(open_images(folder / "train-0001.tar")) == 5


def test_order_is_a_function_of_seed_and_epoch(shards):
    source = open_images(shards())
    orders = [
        [sample.key.split(" ")[0] for sample in source.samples(shuffle_seed=seed, epoch=epoch)]
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 0))
    ]
    assert orders[0] == orders.pop()
    assert len({tuple(order) for order in orders}) == 4
    assert {tuple(sorted(order)) for order in orders} == {tuple(f"part/{n:03d}" for n in range(13))}
    few = {sample.key.split(" ")[0] for sample in source.samples(shuffle_seed=1, limit=5)}
    assert few == {f"part/{n:03d}" for n in range(5)}


def test_workers_start_and_ranks_change_no_bit(shards, spec):
    source = open_images(shards())
    images, labels = whole(image_loader(source, spec, **TRAINING))
    assert images.shape == (12, 3, 32, 32)
    for other in (
        image_loader(source, spec, workers=2, **TRAINING),
        image_loader(open_images(source.name.split(" (")[0]), spec, workers=1, **TRAINING),
    ):
        assert all(torch.equal(a, b) for a, b in zip(whole(other), (images, labels), strict=True))
    later = image_loader(source, spec, start=1, **TRAINING)
    assert len(later) == 2
    assert torch.equal(whole(later)[0], images[4:])
    for first, wanted in ((0, [0, 2]), (1, [1])):
        share = image_loader(source, spec, start=first, every=2, **TRAINING)
        assert len(share) == len(wanted)
        assert torch.equal(whole(share)[0], torch.cat([images.split(4)[number] for number in wanted]))
    for rank in range(3):
        share, told = whole(image_loader(source, spec, rank=rank, ranks=3, **TRAINING))
        assert torch.equal(share, torch.cat([batch[rank::3] for batch in images.split(4)]))
        assert torch.equal(told, torch.cat([batch[rank::3] for batch in labels.split(4)]))


def test_an_epoch_is_the_declared_number(shards, spec):
    folder = shards()
    assert len(whole(image_loader(open_images(folder, images=6), spec, batch_size=4))[1]) == 6
    source = open_images(folder, images=6)
    epochs = [{sample.key for sample in source.samples(shuffle_seed=0, epoch=epoch)} for epoch in range(20)]
    seen = set.union(*epochs)
    assert len(seen) == 13  # the others have their turn in other epochs
    with pytest.raises(StitchError, match=r"ended after 13 of 14 images.*--data\.train_images"):
        whole(image_loader(open_images(folder, images=14), spec, batch_size=4))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_does_not_read_is_named_and_replaced(shards, picture, spec, workers):
    folder = shards(change={6: encoded(picture(seed=6))[:200]})
    refusing, source = open_images(folder), open_images(folder, corrupt_limit=1)
    options = {"batch_size": 13, "augment": "crop_flip", "keep_full": True, "workers": workers}
    with pytest.raises(StitchError, match=r"The image part/006 in .*train-0001\.tar .*does not read"):
        whole(image_loader(refusing, spec, **options))
    images, labels = whole(image_loader(source, spec, **options))
    for rank in range(3 if workers == 0 else 0):
        share, _ = whole(image_loader(source, spec, rank=rank, ranks=3, **options))
        assert torch.equal(share, images[rank::3])
    assert [name.split(" in ")[0] for name in source.skipped.reasons] == ["The image part/006"]
    mended = open_images(shards(change={6: encoded(picture(seed=7))}))
    assert torch.equal(images, whole(image_loader(mended, spec, **options))[0])
    assert labels.tolist() == [0, 1, 2, 3, 0, 1, 3, 3, 0, 1, 2, 3, 0]
    left_out = image_loader(source, spec, batch_size=4)
    assert [len(told) for _, told in left_out] == [4, 4, 4, 1]  # written anew, they all read


def test_three_in_a_row_that_do_not_read_are_too_many(shards, spec):
    source = open_images(shards(change=dict.fromkeys((2, 3, 4), b"none")), corrupt_limit=3)
    with pytest.raises(StitchError, match=r"No image of .* could stand in .*part/002 .*part/003 .*part/004 "):
        whole(image_loader(source, spec, batch_size=13, keep_full=True))
    assert len(whole(image_loader(source, spec, batch_size=13))[1]) == 10


def test_splits_and_missing_shards(shards):
    folder = shards()
    shards(prefix="val")
    assert len(open_images(folder, split="val")) == 13
    with pytest.raises(StitchError, match="holds the splits train, val"):
        open_images(folder)
    with pytest.raises(StitchError, match=r"1 of 4 shards are missing, such as .*train-0003\.tar"):
        open_images(f"{folder}/train-{{0000..0003}}.tar")


def test_what_is_no_shard_is_refused(shards, spec, tmp_path):
    folder = shards()
    last = folder / "train-0002.tar"
    last.write_bytes(last.read_bytes()[:2000])
    with pytest.raises(StitchError, match=r"train-0002\.tar does not read as a tar shard"):
        open_images(folder)
    with pytest.raises(StitchError, match=r"broke off after \d+ images"):
        whole(image_loader(open_images(folder, images=13), spec, batch_size=4))
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        tar.add(last, "notes.txt")
    with pytest.raises(StitchError, match=r"no image column|does not read as tar shards"):
        open_images(tmp_path / "plain.tar")


def test_labels_are_checked_as_they_come(shards, spec):
    source = open_images(shards())
    source.label_limit = 3
    with pytest.raises(StitchError, match=r"part/003 in .* has label 3; the anchors tell 3 classes apart"):
        whole(image_loader(source, spec, batch_size=4))
    with pytest.raises(StitchError, match=r"part/000 in .* has no label \(-1\)"):
        whole(image_loader(open_images(shards(label=lambda _: "-1")), spec, batch_size=4))


def test_a_stream_is_not_held_nor_parted(shards):
    source = open_images(shards())
    with pytest.raises(StitchError, match="is a stream, which is not held"):
        hold_in_memory(source)
    with pytest.raises(StitchError, match=r"No images of .* can be set aside"):
        set_aside(source, 3)
    assert source.digest != open_images(shards(), images=5).digest


@pytest.fixture
def hub(parquet, picture, tmp_path):
    """A folder laid out like a data set of the hub: two shards to train on, one to test."""
    features = {"img": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])}
    for name, numbers in (
        ("train-00000-of-00002", (0, 1, 2)),
        ("train-00001-of-00002", (3, 4)),
        ("test-00000-of-00001", (5,)),
    ):
        columns = {"img": [picture(seed=n) for n in numbers], "label": [n % 2 for n in numbers]}
        parquet(columns, features, name=f"hub/data/{name}.parquet")
    return tmp_path / "hub"


def test_parquet_as_a_stream_is_the_same(hub, picture, spec):
    files = sorted((hub / "data").glob("train*"))
    source, stream = ParquetImages(files), parquet_stream(files)
    assert (len(stream), stream.classes, stream.class_count) == (5, ("ant", "bee"), 2)
    for got, wanted in zip(
        *(whole(image_loader(each, spec, batch_size=2)) for each in (stream, source)), strict=True
    ):
        assert torch.equal(got, wanted)
    assert len(open_images(hub, split="train", streaming=True, images=4)) == 4
    with pytest.raises(StitchError, match="is no stream, so all of its images are an epoch"):
        open_images(hub, split="train", images=4)


def test_hub(hub, picture, spec, monkeypatch, capfd):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(StitchError, match=r"The card of .* does not say how many images"):
        open_images(f"hf:{hub}@train", streaming=True)
    source = open_images(f"hf:{hub}@train")
    assert (len(source), source.classes) == (5, ("ant", "bee"))
    assert np.array_equal(np.asarray(source[3][0]), np.asarray(picture(seed=3)))
    stream = open_images(f"hf:{hub}@train", streaming=True, images=5)
    for got, wanted in zip(
        *(whole(image_loader(each, spec, batch_size=2)) for each in (stream, source)), strict=True
    ):
        assert torch.equal(got, wanted)
    with pytest.raises(StitchError, match=r"several splits.*@SPLIT.*train"):
        open_images(f"hf:{hub}")
    with pytest.raises(StitchError, match=r"hf:.*nowhere@train does not read as a data set"):
        open_images(f"hf:{hub}/nowhere@train")
