import numpy as np
import pytest
import torch

from stitchable.data.folder import FolderImages
from stitchable.data.memory import MemoryImages, hold_in_memory
from stitchable.errors import StitchError


def test_holds_the_pixels_as_they_are(folder, picture):
    held = hold_in_memory(FolderImages(folder))
    assert held.images.dtype == torch.uint8
    assert held.images.shape == (9, 3, 32, 32)
    assert held.classes == ("ant", "bee", "cat")
    for index in range(9):
        image, label = held[index]
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(picture(seed=index)))
        assert label == held.labels[index]


def test_held_images_stay_as_they_are(folder):
    held = hold_in_memory(FolderImages(folder))
    assert hold_in_memory(held) is held


def test_images_of_several_sizes_name_two(folder, picture):
    picture(rows=20, columns=30).save(folder / "bee" / "1.png")
    with pytest.raises(StitchError, match="the first is 32×32 pixels, number 5 is 20×30"):
        hold_in_memory(FolderImages(folder))


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (torch.zeros(2, 8, 8), "do not make a source"),
        (torch.zeros(3, 1, 8, 8), "with 2 labels"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.float64), "torch.float64"),
    ],
)
def test_refuses(images, text):
    with pytest.raises(StitchError, match=text):
        MemoryImages(images, [0, 1])
