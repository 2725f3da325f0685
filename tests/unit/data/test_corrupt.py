"""Images that do not read: named, counted once, and replaced or left out in the same way everywhere."""

import logging
import pickle
import shutil

import pytest
import torch

from stitchable.data.folder import FolderImages
from stitchable.data.loader import image_loader
from stitchable.data.memory import hold_in_memory
from stitchable.data.skipped import CorruptImageError, Skipped
from stitchable.data.subset import set_aside
from stitchable.errors import StitchError

BROKEN = (1, 6)  # ant/1.png and bee/2.png; the next ones as stored are ant/2.png and cat/0.png
TRAINING = {"batch_size": 4, "shuffle_seed": 3, "epoch": 1, "keep_full": True, "drop_last": True}


@pytest.fixture
def mended(folder, tmp_path):
    """The folder, and in ``folder`` itself two images break off; here the next ones stand in their places."""
    whole = shutil.copytree(folder, tmp_path / "mended")
    files, copies = sorted(folder.rglob("*.png")), sorted(whole.rglob("*.png"))
    for index in BROKEN:
        files[index].write_bytes(files[index].read_bytes()[:300])
        shutil.copy(files[index + 1], copies[index])
    return FolderImages(whole)


@pytest.fixture
def source(folder, mended):
    source = FolderImages(folder)
    source.skipped.limit = 2
    return source


def images_of(loader):
    return torch.cat([images for images, _ in loader])


@pytest.mark.parametrize("augment", ["crop_flip", "rand_augment"])
def test_the_next_image_stands_in_with_the_augmentation_of_the_place(source, mended, spec, augment):
    wanted = images_of(image_loader(mended, spec, augment=augment, **TRAINING))
    assert len(wanted) == 8
    for loader in (
        image_loader(source, spec, augment=augment, **TRAINING),
        image_loader(hold_in_memory(source), spec, augment=augment, **TRAINING),
        image_loader(source, spec, augment=augment, workers=2, **TRAINING),
    ):
        assert torch.equal(images_of(loader), wanted)
    later = image_loader(source, spec, augment=augment, start=1, **TRAINING)
    assert torch.equal(images_of(later), wanted[4:])
    for rank in range(3):
        share = image_loader(source, spec, augment=augment, rank=rank, ranks=3, **TRAINING)
        assert torch.equal(images_of(share), torch.cat([wanted[:4][rank::3], wanted[4:][rank::3]]))


def test_the_label_is_that_of_the_image_that_stands_in(source, spec):
    _, labels = next(iter(image_loader(source, spec, batch_size=9, keep_full=True)))
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2]


def test_a_measure_leaves_it_out(source, spec):
    whole = [index for index in range(9) if index not in BROKEN]
    batches = list(image_loader(source, spec, batch_size=3))
    assert [len(labels) for _, labels in batches] == [2, 3, 2]
    assert torch.cat([labels for _, labels in batches]).tolist() == source.labels[whole].tolist()
    alone = list(image_loader(source, spec, batch_size=1))  # a batch of nothing is none
    assert len(alone) == 7
    assert torch.equal(images_of(alone), images_of(batches))


@pytest.mark.parametrize("workers", [0, 1])
def test_each_is_named_and_counted_once(source, spec, workers, folder, caplog):
    with caplog.at_level(logging.WARNING, logger="stitchable.data"):
        for epoch in range(2):
            list(image_loader(source, spec, **{**TRAINING, "epoch": epoch, "workers": workers}))
        list(image_loader(set_aside(source, 2)[0], spec, batch_size=2))
    names = sorted([str(folder / "ant" / "1.png"), str(folder / "bee" / "2.png")])
    assert sorted(source.skipped.reasons) == names
    assert sorted(text.split(": ")[0] for text in caplog.messages) == [f"skipped {name}" for name in names]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("keep_full", [True, False])
def test_beyond_the_limit_all_are_named(source, spec, folder, workers, keep_full):
    source.skipped.limit = 1
    with pytest.raises(StitchError) as error:
        list(image_loader(source, spec, batch_size=3, keep_full=keep_full, workers=workers))
    text = str(error.value)
    assert text.startswith("2 images do not read, more than data.corrupt_limit 1: ")
    assert str(folder / "ant" / "1.png") in text
    assert str(folder / "bee" / "2.png") in text
    assert "\n" not in text


def test_held_images_count_against_the_limit(source):
    source.skipped.limit = 1
    with pytest.raises(StitchError, match="2 images do not read"):
        hold_in_memory(source)


def test_set_aside_images_keep_what_is_broken(source, spec):
    for each in (source, hold_in_memory(source)):
        rest, aside = set_aside(each, 3)  # every third: ant/0, ant/3 and bee/2
        assert [len(labels) for _, labels in image_loader(aside, spec, batch_size=3)] == [2]
        assert [len(labels) for _, labels in image_loader(rest, spec, batch_size=6)] == [5]


def test_nothing_that_reads(folder, spec):
    for path in folder.rglob("*.png"):
        path.write_text("no image")
    source = FolderImages(folder)
    source.skipped.limit = 9
    with pytest.raises(StitchError, match=r"No image of .* could stand in for others.*cat.0\.png; "):
        list(image_loader(source, spec, batch_size=2, keep_full=True))
    with pytest.raises(StitchError, match=r"None of the 9 images of .* reads"):
        hold_in_memory(source)
    assert list(image_loader(source, spec, batch_size=2)) == []


def test_a_file_that_is_gone(folder, spec):
    source = FolderImages(folder)
    (folder / "cat" / "1.png").unlink()
    with pytest.raises(CorruptImageError, match=r"cat.1\.png does not read as an image \(No such file"):
        list(image_loader(source, spec, batch_size=9))


def test_the_error_survives_the_way_from_a_worker():
    error = pickle.loads(pickle.dumps(CorruptImageError("Row 3", "it breaks off")))
    assert (error.where, error.reason) == ("Row 3", "it breaks off")
    with pytest.raises(CorruptImageError, match=r"Row 3 does not read as an image \(it breaks off\)"):
        Skipped().add([error])
