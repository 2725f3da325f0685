import pickle
import random

import numpy as np
import pytest
import torch

from stitchable.data.folder import FolderImages
from stitchable.data.loader import image_loader, image_order
from stitchable.data.memory import MemoryImages, hold_in_memory
from stitchable.data.parquet import ParquetImages
from stitchable.data.transforms import evaluation_transform
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

AUGMENTS = ["none", "flip", "crop", "crop_flip", "rand_augment"]
LARGE = InputSpec((3, 64, 64), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def whole(loader):
    batches = list(loader)
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def numbered(count, *, labels=None):
    """Images whose pixels are their index."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 3, 32, 32)
    return MemoryImages(images.contiguous(), torch.arange(count).flip(0) if labels is None else labels)


def test_evaluation_is_the_transform_image_by_image(folder, spec):
    source = FolderImages(folder)
    images, labels = whole(image_loader(source, spec, batch_size=4))
    transform = evaluation_transform(spec)
    assert torch.equal(images, torch.stack([transform(source[index][0]) for index in range(9)]))
    assert torch.equal(labels, source.labels)


@pytest.mark.parametrize("target", ["small", "large"])
@pytest.mark.parametrize("augment", AUGMENTS)
def test_memory_batch_size_and_workers_change_no_bit(folder, spec, augment, target):
    target = spec if target == "small" else LARGE
    source = FolderImages(folder)
    options = {"shuffle_seed": 3, "epoch": 2, "augment": augment}
    images, labels = whole(image_loader(source, target, batch_size=4, **options))
    for other in (
        image_loader(source, target, batch_size=2, workers=2, **options),
        image_loader(hold_in_memory(source), target, batch_size=5, **options),
    ):
        other_images, other_labels = whole(other)
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


@pytest.mark.parametrize("augment", ["flip", "crop", "crop_flip", "rand_augment"])
def test_epochs_and_seeds_augment_differently(spec, augment):
    generator = torch.Generator().manual_seed(0)
    source = MemoryImages(
        torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=generator), range(12)
    )

    def images(**options):
        images, labels = whole(image_loader(source, spec, batch_size=12, augment=augment, **options))
        return images[labels.argsort()]

    first = images(shuffle_seed=0, epoch=0)
    assert torch.equal(first, images(shuffle_seed=0, epoch=0))
    assert not torch.equal(first, images(shuffle_seed=0, epoch=1))
    assert not torch.equal(first, images(shuffle_seed=1, epoch=0))
    assert torch.equal(first, images(shuffle_seed=None))  # goes by seed 0


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("augment", ["crop_flip", "rand_augment"])
def test_a_later_start_gives_the_same_batches_and_reads_no_other_image(folder, spec, augment, workers):
    source = FolderImages(folder)
    options = {"batch_size": 2, "shuffle_seed": 3, "epoch": 1, "augment": augment, "workers": workers}
    batches = list(image_loader(source, spec, **options))
    files = sorted(folder.rglob("*.png"))
    for index in image_order(source, shuffle_seed=3, epoch=1)[:4]:
        files[index].unlink()  # reading it would fail
    later = list(image_loader(source, spec, start=2, **options))
    assert len(later) == len(batches) - 2
    for got, wanted in zip(later, batches[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))
    assert not list(image_loader(source, spec, start=len(batches), **options))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_so_many_batches_are_shares_of_all(folder, spec, count):
    source = FolderImages(folder)
    options = {"batch_size": 2, "shuffle_seed": 3, "augment": "crop"}
    batches = list(image_loader(source, spec, start=1, **options))
    for first in range(count):
        share = image_loader(source, spec, start=1 + first, every=count, **options)
        wanted = batches[first::count]
        assert len(share) == len(wanted)
        for got, batch in zip(share, wanted, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(got, batch, strict=True))


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("augment", AUGMENTS)
def test_shares_of_all_ranks_make_the_batch(folder, spec, augment, ranks):
    source = FolderImages(folder)
    options = {"batch_size": 4, "shuffle_seed": 3, "epoch": 1, "augment": augment}
    batches = list(image_loader(source, spec, start=1, **options))
    shares = [
        list(image_loader(source, spec, start=1, rank=rank, ranks=ranks, **options)) for rank in range(ranks)
    ]
    assert [len(labels) for _, labels in batches] == [4, 1]
    # Nine images are batches of 4, 4 and 1: of the last one only the first rank has a share.
    assert [len(share) for share in shares] == [2] + [1] * (ranks - 1)
    for part, whole_batch in enumerate(batches[0]):
        for rank, share in enumerate(shares):
            assert torch.equal(share[0][part], whole_batch[rank::ranks])
    for got, wanted in zip(shares[0][1], batches[1], strict=True):
        assert torch.equal(got, wanted)


def test_ranks_drop_the_same_last_batch(spec):
    options = {"batch_size": 4, "drop_last": True, "ranks": 3}
    for rank, count in ((0, 2), (1, 1), (2, 1)):
        loader = image_loader(numbered(11), spec, rank=rank, **options)
        assert [len(labels) for _, labels in loader] == [count, count]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("augment", ["crop_flip", "rand_augment"])
def test_no_global_random_state_changes(folder, spec, augment, workers):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    whole(
        image_loader(
            FolderImages(folder), spec, batch_size=4, shuffle_seed=1, augment=augment, workers=workers
        )
    )
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_order_is_a_function_of_seed_and_epoch():
    source = numbered(100)
    first = image_order(source, shuffle_seed=0, epoch=0)
    assert first.sort().values.tolist() == list(range(100))
    assert torch.equal(first, image_order(source, shuffle_seed=0, epoch=0))
    others = [image_order(source, shuffle_seed=seed, epoch=epoch) for seed, epoch in ((0, 1), (1, 0), (1, 1))]
    for place, other in enumerate(others):
        assert not torch.equal(first, other)
        assert all(not torch.equal(other, later) for later in others[place + 1 :])
    assert image_order(source).tolist() == list(range(100))


def test_images_and_labels_stay_together(spec):
    source = numbered(50)
    images, labels = whole(image_loader(source, spec, batch_size=7, shuffle_seed=5))
    pixels = (images[:, 0, 0, 0] * spec.std[0] + spec.mean[0]) * 255
    assert torch.equal(pixels.round().long(), 49 - labels)


def test_limit_takes_the_first_of_mixed_labels_and_a_share_of_each_class_of_sorted_ones():
    mixed = numbered(12, labels=[0, 1, 2] * 4)
    assert image_order(mixed, limit=5).tolist() == [0, 1, 2, 3, 4]
    in_classes = numbered(12, labels=[0] * 4 + [1] * 4 + [2] * 4)
    assert image_order(in_classes, limit=6).tolist() == [0, 2, 4, 6, 8, 10]
    assert image_order(in_classes, limit=5).tolist() == [0, 2, 4, 7, 9]
    assert image_order(in_classes, limit=99).tolist() == list(range(12))
    for seed in (0, 1):
        assert sorted(image_order(in_classes, limit=6, shuffle_seed=seed).tolist()) == [0, 2, 4, 6, 8, 10]


def test_drop_last_and_length(spec):
    assert len(image_loader(numbered(10), spec, batch_size=4)) == 3
    assert [len(labels) for _, labels in image_loader(numbered(10), spec, batch_size=4, drop_last=True)] == [
        4,
        4,
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_image_arrives_as_one_line(folder, spec, workers):
    path = folder / "bee" / "2.png"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(StitchError) as error:
        list(image_loader(FolderImages(folder), spec, batch_size=2, workers=workers))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_float_images_pass_and_may_shift(folder):
    spec = InputSpec((1, 8, 8), (0.0,), (1.0,))
    ink = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    source = MemoryImages(ink, range(6), mirrored_means_same=False)
    assert torch.equal(whole(image_loader(source, spec, batch_size=4))[0], ink)
    assert not torch.equal(whole(image_loader(source, spec, batch_size=4, augment="crop"))[0], ink)
    for augment in ("flip", "crop_flip", "rand_augment"):
        with pytest.raises(StitchError, match="Use 'none' or 'crop'"):
            image_loader(source, spec, batch_size=4, augment=augment)
    with pytest.raises(StitchError, match="the anchors take"):
        image_loader(source, LARGE, batch_size=4)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"epoch": -1}, "epoch is -1"),
        ({"start": -1}, "start is -1"),
        ({"ranks": 0}, "ranks is 0"),
        ({"rank": 2, "ranks": 2}, r"rank is 2 of 2\. Give 0 to 1"),
        ({"ranks": 3}, "A batch of 2 images has none for some of 3 ranks"),
        ({"limit": 0}, "limit is 0"),
        ({"shuffle_seed": -1}, "not shuffled by seed -1. Give 0 or more"),
        ({"augment": "cutmix"}, "Unknown augmentation 'cutmix'"),
    ],
)
def test_refuses(spec, change, text):
    with pytest.raises(StitchError, match=text):
        image_loader(numbered(4), spec, **{"batch_size": 2, **change})


def test_what_workers_get_survives_the_way(folder, spec):
    loader = image_loader(FolderImages(folder), LARGE, batch_size=2, augment="rand_augment")
    there = pickle.loads(pickle.dumps(loader.dataset))
    assert torch.equal(there.__getitems__([3])[0], loader.dataset.__getitems__([3])[0])


@pytest.mark.data
def test_cifar10_is_bit_true(shared_data, spec, parquet):
    source = ParquetImages([shared_data / "cifar10" / "test.parquet"])
    images, _ = whole(image_loader(source, spec, batch_size=64, limit=64))
    for index, got in enumerate(images):
        pixels = np.asarray(source[index][0]).astype(np.float32) / np.float32(255)
        expected = (pixels - np.float32(spec.mean)) / np.float32(spec.std)
        assert np.array_equal(got.permute(1, 2, 0).numpy(), expected)
