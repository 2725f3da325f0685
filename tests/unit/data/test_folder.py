import numpy as np
import pytest

from stitchable.data.folder import FolderImages
from stitchable.errors import StitchError


def test_images_labels_and_classes(folder, picture):
    source = FolderImages(folder)
    assert source.classes == ("ant", "bee", "cat")
    assert source.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert len(source) == 9
    image, label = source[5]
    assert label == 1
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(picture(seed=5)))


def test_grey_and_transparent_images_become_rgb(folder, picture):
    picture(mode="L").save(folder / "ant" / "grey.png")
    picture(mode="RGBA").save(folder / "ant" / "see_through.png")
    palette = picture().quantize(16)
    palette.save(folder / "ant" / "palette.png", transparency=bytes(range(16)))
    source = FolderImages(folder)
    assert {source[index][0].mode for index in range(len(source))} == {"RGB"}


def test_truncated_image_names_its_path(folder, picture):
    path = folder / "bee" / "photo.jpg"
    picture(rows=200, columns=200).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    source = FolderImages(folder)
    with pytest.raises(StitchError) as error:
        [source[index] for index in range(len(source))]
    text = str(error.value)
    assert text.startswith(str(path))
    assert "truncated" in text
    assert "Remove it or replace it" in text
    assert "\n" not in text


def test_text_called_jpg_names_its_path(folder):
    path = folder / "ant" / "0.png"
    path.write_text("not an image")
    with pytest.raises(StitchError, match=r"ant.0\.png does not read as an image \(no known image format\)"):
        FolderImages(folder)[0]


def test_class_folder_without_images(folder):
    (folder / "dog").mkdir()
    (folder / "dog" / "notes.txt").write_text("none yet")
    with pytest.raises(StitchError, match=r"1 of 4 class folders in .* hold no image: dog"):
        FolderImages(folder)


def test_folder_without_class_folders(tmp_path, picture):
    picture().save(tmp_path / "0.png")
    with pytest.raises(StitchError, match="holds no class folders"):
        FolderImages(tmp_path)


def test_folder_of_splits_is_not_taken_for_classes(tmp_path):
    for split in ("train", "val"):
        (tmp_path / "data" / split).mkdir(parents=True)
    with pytest.raises(StitchError, match=r"holds splits \(train, val\), not classes.*split='train'"):
        FolderImages(tmp_path / "data")


def test_every_format_reads(folder, picture):
    for ending in ("webp", "bmp", "tiff", "ppm", "jpg"):
        picture().save(folder / "cat" / f"z.{ending}", **({"lossless": True} if ending == "webp" else {}))
    source = FolderImages(folder)
    assert len(source) == 14
    exact = [np.array_equal(np.asarray(source[index][0]), np.asarray(picture())) for index in range(9, 14)]
    assert exact == [True, False, True, True, True]  # bmp, jpg, ppm, tiff, webp
