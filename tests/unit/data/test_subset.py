import pytest
import torch

from stitchable.data.folder import FolderImages
from stitchable.data.memory import MemoryImages, hold_in_memory
from stitchable.data.subset import set_aside
from stitchable.errors import StitchError


@pytest.mark.parametrize("in_memory", [False, True])
def test_images_are_parted(photos, in_memory):
    source = FolderImages(photos("two"))  # eight ants, then eight bees
    source.mirrored_means_same = False
    source = hold_in_memory(source) if in_memory else source
    rest, aside = set_aside(source, 4)
    assert aside.labels.tolist() == [0, 0, 1, 1]  # every class keeps its share
    assert rest.labels.tolist() == [0] * 6 + [1] * 6
    parts = [part[index] for part in (rest, aside) for index in range(len(part))]
    values = sorted(str(image.getpixel((0, 0)) if not in_memory else image[0, 0, 0]) for image, _ in parts)
    whole = [source[index][0] for index in range(16)]
    assert values == sorted(
        str(image.getpixel((0, 0)) if not in_memory else image[0, 0, 0]) for image in whole
    )
    for part in (rest, aside):
        assert isinstance(part, MemoryImages) == in_memory
        assert [part[index][1] for index in range(len(part))] == part.labels.tolist()
        assert (part.name, part.classes, part.mirrored_means_same) == (source.name, ("ant", "bee"), False)


def test_something_must_be_left():
    source = MemoryImages(torch.zeros(4, 1, 2, 2), [0, 1, 0, 1], name="four")
    with pytest.raises(StitchError, match="4 of the 4 images of four cannot be set aside"):
        set_aside(source, 4)
